//! The last good table on disk, so that a balancer that restarts without the control plane goes on serving.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use wharf_base::Shutdown;
use wharf_model::Table;

use crate::shared::Shared;

/// Version of the file's layout.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    table: Table,
}

/// Only the version, so that a newer file is told apart from a broken one.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The table in the file. A file that can't be used is reported and left alone: without it the balancer waits for
/// the control plane, which is better than not starting.
pub(crate) fn read(path: &Path) -> Option<Table> {
    let bytes = match wharf_disk::atomic::read(path) {
        Ok(bytes) => bytes?,
        Err(error) => {
            tracing::error!(%error, "cannot read the last table");
            return None;
        }
    };
    let problem = match serde_json::from_slice::<Format>(&bytes) {
        Ok(Format { format }) if format != FORMAT => format!("its format {format} is not {FORMAT}"),
        _ => match serde_json::from_slice::<File>(&bytes) {
            Ok(file) => return Some(file.table),
            Err(error) => error.to_string(),
        },
    };
    tracing::error!(path = %path.display(), problem, "cannot use the last table");
    None
}

/// Writes each table that `applied` tells of. A failed write is reported; the next table tries again.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut applied: watch::Receiver<u64>,
    path: PathBuf,
    shutdown: Shutdown,
) {
    let mut written = 0;
    loop {
        let is_over = tokio::select! {
            biased;
            changed = applied.changed() => changed.is_err(),
            _ = shutdown.cancelled() => true,
        };
        let newest = *applied.borrow_and_update();
        if newest != written {
            let bytes = serde_json::to_vec(&File { format: FORMAT, table: shared.newest() });
            let bytes = bytes.expect("a table is plain data");
            match wharf_disk::atomic::write_async(path.clone(), bytes).await {
                Ok(()) => written = newest,
                Err(error) => tracing::error!(%error, "cannot keep the table for the next start"),
            }
        }
        if is_over {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_format_1_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table.json");
        assert_eq!(read(&path), None);
        std::fs::write(&path, include_str!("../testdata/table-1.json")).unwrap();
        let table = read(&path).unwrap();
        assert_eq!((table.version, table.generation, table.routes.len()), (7, 3, 1));
        assert_eq!(table.routes[0].targets[0].id, "shop.web.1");
    }

    #[test]
    fn files_that_cannot_be_used_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table.json");
        for text in ["", "{", r#"{"format":2,"anything":1}"#, r#"{"format":1,"table":{}}"#] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path), None, "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
