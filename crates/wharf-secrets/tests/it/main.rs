//! Our age files and those of the real `age` program, both ways, for each kind of key that we take.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use wharf_secrets::{Ask, Identities, Recipients, armour, open, seal};
use wharf_test_support::{require, temp_dir};

const PLAIN: &[u8] = b"DB_PASSWORD=quokka-93f1\nTLS_KEY='\na\nb\n'\n";

/// Runs it; returns what it printed.
fn checked(command: &mut Command) -> Vec<u8> {
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

/// A private key, and its public half as people put it into `secrets.recipients`.
fn key(directory: &Path, kind: &str) -> (PathBuf, String) {
    let path = directory.join(kind);
    if kind == "age" {
        checked(Command::new("age-keygen").arg("-o").arg(&path));
        let public = checked(Command::new("age-keygen").arg("-y").arg(&path));
        return (path, String::from_utf8(public).unwrap());
    }
    checked(Command::new("ssh-keygen").args(["-q", "-N", "", "-C", "ann", "-t", kind, "-f"]).arg(&path));
    let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
    (path, public)
}

fn identities(path: &Path) -> Identities {
    let ask: Ask = Arc::new(|_| None);
    let mut identities = Identities::default();
    identities.add(path, &ask).unwrap();
    identities
}

#[test]
fn what_age_encrypts_opens_here_and_what_we_encrypt_opens_there() {
    require!(Command("age"), Command("age-keygen"), Command("ssh-keygen"));
    let directory = temp_dir();
    let (plain, file) = (directory.path().join("plain"), directory.path().join("file.age"));
    std::fs::write(&plain, PLAIN).unwrap();
    let kinds = ["age", "ed25519", "rsa"];
    let keys: Vec<(PathBuf, String)> = kinds.iter().map(|kind| key(directory.path(), kind)).collect();
    let everybody: String = keys.iter().map(|(_, public)| public.as_str()).collect();
    let list = directory.path().join("recipients");
    std::fs::write(&list, &everybody).unwrap();

    // Theirs, as text and as bytes, for one and for all.
    for (path, public) in &keys {
        for form in [&["-a"][..], &[]] {
            for to in [vec!["-r", public.trim()], vec!["-R", list.to_str().unwrap()]] {
                checked(Command::new("age").args(form).args(to).arg("-o").arg(&file).arg(&plain));
                let bytes = std::fs::read(&file).unwrap();
                assert_eq!(open(&bytes, &identities(path)).unwrap().expose(), PLAIN, "{}", path.display());
                let text = armour(&bytes).unwrap();
                assert_eq!(open(text.as_bytes(), &identities(path)).unwrap().expose(), PLAIN);
            }
        }
    }
    // Ours.
    for recipients in [everybody.as_str(), &keys[0].1, &keys[1].1, &keys[2].1] {
        let sealed = seal(PLAIN, &Recipients::parse(recipients).unwrap()).unwrap();
        std::fs::write(&file, sealed).unwrap();
        for (path, public) in &keys {
            let opened = Command::new("age").arg("-d").arg("-i").arg(path).arg(&file).output().unwrap();
            let is_meant = recipients.contains(public.as_str());
            assert_eq!(opened.status.success(), is_meant, "{}: {opened:?}", path.display());
            assert_eq!(opened.stdout, if is_meant { PLAIN } else { b"" });
        }
    }
}

#[test]
fn a_key_of_ours_is_one_of_theirs() {
    require!(Command("age"), Command("age-keygen"));
    let directory = temp_dir();
    let (path, file) = (directory.path().join("new/identity"), directory.path().join("file.age"));
    let key = wharf_secrets::Key::read_or_make(&path).unwrap();
    let public = String::from_utf8(checked(Command::new("age-keygen").arg("-y").arg(&path))).unwrap();
    assert_eq!(public.trim(), key.recipient());
    std::fs::write(&file, key.seal(PLAIN).unwrap()).unwrap();
    assert_eq!(checked(Command::new("age").arg("-d").arg("-i").arg(&path).arg(&file)), PLAIN);

    let theirs = directory.path().join("theirs");
    checked(Command::new("age-keygen").arg("-o").arg(&theirs));
    let theirs = wharf_secrets::Key::read(&theirs).unwrap().unwrap();
    let sealed = theirs.seal(PLAIN).unwrap();
    assert_eq!(theirs.open(sealed.as_bytes()).unwrap().expose(), PLAIN);
}
