//! A process with its input and output on the wire: what exec and run have in common.

use wharf_docker::{Attached, Piece};
use wharf_model::Frame;
use wharf_model::frame::Size;

use super::wire::Wire;

/// What an attached process can be told besides its input.
pub(super) trait Controls {
    /// The terminal has another size.
    async fn resize(&self, size: Size);
    /// A signal by its name without `SIG`.
    async fn signal(&self, name: &str);
}

/// Why the passing on has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The process has closed its output.
    Process,
    /// The caller is gone.
    Caller,
}

/// Passes everything on, both ways, until one side ends. Input waits while the process does not read it, and output
/// while the caller does not; neither holds the other up.
pub(super) async fn pass_on(attached: Attached, controls: &impl Controls, wire: &mut Wire) -> Ended {
    let Attached { output: mut pieces, input: mut stdin } = attached;
    let (output, mut input) = wire.split();
    let outwards = async {
        loop {
            let frame = match pieces.next().await {
                Ok(Some(Piece::Stdout(bytes))) => Frame::Stdout(bytes),
                Ok(Some(Piece::Stderr(bytes))) => Frame::Stderr(bytes),
                Ok(None) => return Ended::Process,
                Err(error) => {
                    tracing::debug!(%error, "the output of a process broke off");
                    return Ended::Process;
                }
            };
            if !output.send(frame).await {
                return Ended::Caller;
            }
        }
    };
    let inwards = async {
        while let Some(frame) = input.next().await {
            // A process that has closed its input is told no more; that is no error (`yes | head -1`).
            match frame {
                Frame::Stdin(bytes) => drop(stdin.write(&bytes).await),
                Frame::StdinEnd => drop(stdin.close().await),
                Frame::Resize(size) => controls.resize(size).await,
                Frame::Signal(name) => controls.signal(&name).await,
                Frame::Stdout(_) | Frame::Stderr(_) | Frame::Status(_) => {}
            }
        }
        Ended::Caller
    };
    tokio::select! {
        ended = outwards => ended,
        ended = inwards => ended,
    }
}
