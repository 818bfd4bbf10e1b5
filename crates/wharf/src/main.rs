//! The command `wharf`.
//!
//! `backup` keeps the server's state safe, `cli` holds every command's arguments, `cmd` what each does, `config` the file wharf.yaml, `assemble` how the parts of
//! the server are connected, `demo` the main job told as a story. The exit status is decided in `failure`.

mod api_document;
mod assemble;
mod backup;
mod cli;
mod cmd;
mod config;
mod context;
mod data_dir;
mod demo;
mod failure;
mod images;
mod lead;
mod logging;
mod output;
mod pools;

use std::process::ExitCode;

use clap::Parser;

/// musl's own allocator takes one lock for all threads; the static program of `cargo xtask dist` has this one.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap says which stream and status each has.
            let status = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    logging::start(&cli);
    match cmd::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
