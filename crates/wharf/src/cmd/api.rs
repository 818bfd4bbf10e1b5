//! `wharf api`: the control API, for those who call it from programs.

use serde_json::json;

use crate::api_document::{document, operations};
use crate::cli::ApiCommand;
use crate::output::{Output, Table};

pub(super) fn run(command: ApiCommand, output: Output) -> anyhow::Result<()> {
    match command {
        ApiCommand::Ls => {
            let operations = operations();
            let list: Vec<serde_json::Value> = operations
                .iter()
                .map(|operation| {
                    let (method, path) = operation.place();
                    json!({
                        "method": method.as_str(), "path": format!("/api/v1{path}"),
                        "role": operation.access().word(), "summary": operation.summary(),
                    })
                })
                .collect();
            output.result(&json!({ "operations": list }), || {
                let mut table = Table::new(&["METHOD", "PATH", "ROLE", "WHAT"]);
                for operation in &operations {
                    let (method, path) = operation.place();
                    let role = operation.access().word();
                    table.row(vec![
                        method.to_string(),
                        format!("/api/v1{path}"),
                        role.to_owned(),
                        operation.summary().to_owned(),
                    ]);
                }
                table.render()
            })
        }
        // It is JSON either way.
        ApiCommand::Openapi => output.line(&serde_json::to_string_pretty(&document())?),
    }
}
