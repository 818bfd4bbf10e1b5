//! `wharf token`: list, create, remove.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wharf_base::{Clock, SystemClock, UnixMillis};

use crate::cli::{Global, TokenCommand};
use crate::context;
use crate::failure::usage;
use crate::output::{Output, Table, ago};

#[derive(Serialize, Deserialize)]
struct Tokens {
    tokens: Vec<Token>,
}

#[derive(Serialize, Deserialize)]
struct Token {
    id: String,
    name: String,
    role: String,
    created: UnixMillis,
    last_used: Option<UnixMillis>,
    #[serde(default)]
    expires: Option<UnixMillis>,
}

pub(super) async fn run(global: &Global, command: TokenCommand, output: Output) -> anyhow::Result<()> {
    let client = context::client(global)?;
    match command {
        TokenCommand::Ls => {
            let answer: Tokens = client.get("/api/v1/tokens").await?;
            output.result(&answer, || table(&answer.tokens))
        }
        TokenCommand::Create { name, role, expires } => {
            let role = format!("{role:?}").to_lowercase();
            let mut wanted = json!({ "name": name, "role": role });
            if let Some(life) = expires {
                wanted["ttl"] = json!(wharf_base::duration::format(life));
            }
            let answer: Value = client.post("/api/v1/tokens", &wanted).await?;
            let until = answer["expires"].as_i64().map(|at| format!(", until {}", UnixMillis(at)));
            output.result(&answer, || {
                format!(
                    "{}\n\nThis is shown once. It is the {role} `{name}`{}: wharf login URL --token …",
                    answer["token"].as_str().unwrap_or_default(),
                    until.unwrap_or_default()
                )
            })
        }
        TokenCommand::Rm { name } => {
            let known: Tokens = client.get("/api/v1/tokens").await?;
            let meant: Vec<&Token> =
                known.tokens.iter().filter(|one| one.name == name || one.id == name).collect();
            let id = match meant.as_slice() {
                [one] => one.id.clone(),
                [] => anyhow::bail!("there is no token `{name}`\n  hint: `wharf token ls` lists them"),
                several => {
                    let ids: Vec<&str> = several.iter().map(|one| one.id.as_str()).collect();
                    return Err(usage(format!(
                        "{} tokens are called `{name}`\n  hint: name one by its id: {}",
                        several.len(),
                        ids.join(", ")
                    )));
                }
            };
            client.delete(&format!("/api/v1/tokens/{id}")).await?;
            output.result(&json!({ "removed": id }), || format!("token {name} is removed"))
        }
    }
}

fn table(tokens: &[Token]) -> String {
    let now = SystemClock.now();
    let mut table = Table::new(&["NAME", "ROLE", "ID", "CREATED", "USED", "EXPIRES"]);
    for token in tokens {
        table.row(vec![
            token.name.clone(),
            token.role.clone(),
            token.id.clone(),
            format!("{} ago", ago(now.since(token.created))),
            token.last_used.map_or_else(|| "never".to_owned(), |at| format!("{} ago", ago(now.since(at)))),
            match token.expires {
                None => "never".to_owned(),
                Some(at) if at <= now => format!("expired {} ago", ago(now.since(at))),
                Some(at) => format!("in {}", ago(at.since(now))),
            },
        ]);
    }
    table.render()
}
