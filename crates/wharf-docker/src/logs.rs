//! The last lines that a container printed, for saying why it failed.

use std::time::Duration;

use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;

use crate::output::clean;
use crate::{Engine, Error};

/// LIMIT: of all lines together; the newest are kept.
const TAIL_SIZE_MAX: usize = 256 * 1024;

/// Reading a file of the Engine's takes milliseconds; a hung log driver must not hang us.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the last `count` lines of stdout and stderr of `container`, oldest first, running or not.
///
/// Errors: `Refused` with status 404 when there is no such container, or when its log driver can't be read.
pub async fn last_lines(engine: &Engine, container: &str, count: usize) -> Result<Vec<String>, Error> {
    let doing = format!("read the log of container {container}");
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&count.to_string()).build();
    let read = async {
        let mut stream = engine.docker().logs(container, Some(options));
        let mut text = Vec::new();
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| Error::api(&doing, error))?;
            text.extend_from_slice(&piece.into_bytes());
            if text.len() > TAIL_SIZE_MAX {
                text.drain(..text.len() - TAIL_SIZE_MAX);
            }
        }
        Ok(text)
    };
    let text = tokio::time::timeout(TIMEOUT, read)
        .await
        .map_err(|_| Error::TimedOut { doing: doing.clone(), after: TIMEOUT })??;
    let mut lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(clean).collect();
    lines.drain(..lines.len().saturating_sub(count));
    Ok(lines)
}
