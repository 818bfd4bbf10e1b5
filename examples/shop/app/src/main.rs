//! The example application: a small shop that shows how a service behaves well behind a balancer.
//!
//! It answers requests from memory ([`answer`]), says by `/up` whether it is healthy, and on SIGTERM takes no new
//! connections, finishes the requests in flight and ends. It reads its settings from the environment ([`settings`])
//! and touches no file.

mod answer;
mod serve;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;

use crate::answer::Shop;
use crate::settings::Settings;

// One thread: the work per request is microseconds, and a container has a share of a CPU.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = match Settings::from_environment(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("shop: {error}");
            return ExitCode::from(2);
        }
    };
    let port = settings.port;
    match serve::serve(port, Arc::new(Shop::new(settings))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shop: cannot listen on port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}
