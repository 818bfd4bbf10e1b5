//! The least program that a lab can have as pid 1 of its hosts, for the tests of this crate.
//!
//! `wharf-lab-host lab-init SPEC` is that pid 1; `wharf-lab-host up COUNT CONFIG` and `down CONFIG` are what
//! `wharf lab` does, with the config as JSON, so that a test can kill it in the middle.

use std::process::ExitCode;

use wharf_lab::{Config, Error, Lab, init_main};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["lab-init", rest @ ..] => init_main(rest),
        ["up", count, config] => block_on(async {
            let count = count.parse().unwrap_or_default();
            for host in open(config)?.up(count).await? {
                println!("{} {} {}", host.name, host.address, host.docker_socket.display());
            }
            Ok(())
        }),
        ["down", config] => block_on(async { open(config)?.down().await }),
        _ => {
            eprintln!("usage: wharf-lab-host lab-init SPEC | up COUNT CONFIG | down CONFIG");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wharf-lab-host: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::from(error.code().exit_status())
        }
    }
}

fn open(config: &str) -> Result<Lab, Error> {
    let config: Config = serde_json::from_str(config).map_err(|error| Error::Io {
        action: "read",
        path: "the config".into(),
        source: error.into(),
    })?;
    Lab::open(config)
}

fn block_on(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(work)
}
