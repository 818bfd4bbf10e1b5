//! A thousand faults, from fixed seeds: nothing wrong is ever served or stored.

use std::collections::HashMap;

use super::*;

/// splitmix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }

    fn fault(&mut self, size: usize) -> Fault {
        let at = self.next(size);
        match self.next(40) {
            0..12 => Fault::CutAfter(at),
            // Few, because each costs the time that a stall takes to be noticed.
            12 => Fault::StallAfter(at),
            13..20 => Fault::WrongByteAt(at),
            20..22 => Fault::WrongLength,
            22..25 => Fault::WrongRange,
            25..28 => Fault::IgnoreRange,
            28..30 => Fault::Status(429),
            30..32 => Fault::Status(503),
            32..35 => Fault::Status(500),
            35 => Fault::Status(404),
            36..39 => Fault::HalfHead,
            _ => Fault::RedirectLoop,
        }
    }
}

/// Runs until `faults` of one seed have happened. Returns how many reads were right and how many were refused or cut.
async fn run(seed: u64, faults: usize) -> (usize, usize) {
    let (bench, origin) = (Bench::new(2 << 20).await, Origin::start().await);
    let mut random = Random(seed);
    let contents: HashMap<String, Vec<u8>> =
        (0..12u8).map(|number| (format!("/{number}"), bytes_of(1 + random.next(400_000), number))).collect();
    for (path, content) in &contents {
        origin.put(path, content.clone());
    }
    let (mut right, mut failed, mut injected) = (0, 0, 0);
    while injected < faults {
        let number = random.next(12);
        let (path, content) = (format!("/{number}"), &contents[&format!("/{number}")]);
        let wanted = wanted(&origin, &path, content, random.next(2) == 0);
        bench.engine.store.remove(&wanted.digest);
        let batch = 1 + random.next(6);
        origin.fail((0..batch).map(|_| random.fault(content.len())).collect::<Vec<_>>());
        injected += batch;
        bench.clock.advance(Duration::from_secs(2));
        let readers = (0..3).map(|_| bench.read(&wanted));
        for read in futures_util::future::join_all(readers).await {
            match read {
                Ok(bytes) => {
                    assert!(bytes == *content, "seed {seed}: wrong bytes of {path} were served as if right");
                    right += 1;
                }
                Err(_) => failed += 1,
            }
        }
        if let Some((file, size)) = bench.engine.store.read(&wanted.digest).await.unwrap() {
            let stored = read_all(Served::Stored { file, size }).await.unwrap();
            assert!(stored == *content, "seed {seed}: wrong bytes of {path} were stored");
        }
        let (stored, reserved, _, _) = bench.engine.store.usage();
        assert!(stored + reserved <= 2 << 20, "seed {seed}: {stored} + {reserved}");
    }
    // What is left of the faults goes, and then everything works.
    origin.fail([]);
    for (path, content) in &contents {
        let wanted = wanted(&origin, path, content, true);
        let mut tries = 0;
        while bench.read(&wanted).await.is_err() {
            bench.clock.advance(Duration::from_secs(2));
            tries += 1;
            assert!(tries < 20, "seed {seed}: it does not recover");
        }
    }
    assert_eq!(bench.engine.store.usage().1, 0, "seed {seed}: no reservation is left");
    assert_eq!(bench.engine.fills_open(), 0);
    (right, failed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_faults_serve_and_store_nothing_wrong() {
    let runs = (0..10).map(|seed| run(seed, 100));
    let results = futures_util::future::join_all(runs).await;
    let right: usize = results.iter().map(|(right, _)| right).sum();
    let failed: usize = results.iter().map(|(_, failed)| failed).sum();
    assert!(right > 100 && failed > 20, "both happen: {right} right, {failed} refused or cut");
}
