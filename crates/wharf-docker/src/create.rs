//! `POST /containers/create` with a body of the caller's: bollard's type lacks members that Engines before 25 need
//! (`MacAddress`).

use std::fmt::Write as _;

use hyper::Method;
use serde::{Deserialize, Serialize};

use crate::engine::CALL_TIMEOUT;
use crate::{Engine, Error, raw};

/// LIMIT: bytes of the answer, an id and warnings.
const ANSWER_SIZE_MAX: usize = 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

impl Engine {
    /// Creates a container and returns its id. What the Engine warns of goes to the log.
    ///
    /// Errors: `Refused` with the Engine's status: 404 without the image, 409 where the name is taken.
    pub async fn create_container(
        &self,
        name: &str,
        platform: Option<&str>,
        body: &impl Serialize,
    ) -> Result<String, Error> {
        let doing = format!("create container {name}");
        let mut path = format!("/containers/create?name={}", escaped(name));
        if let Some(platform) = platform {
            let _ = write!(path, "&platform={}", escaped(platform));
        }
        let body = serde_json::to_vec(body).expect("plain records are JSON");
        let headers = [("content-type", "application/json".to_owned())];
        let exchange = async {
            let mut call = self.send(&doing, Method::POST, &path, &headers, raw::full_body(body)).await?;
            call.refuse_failure(&doing).await?;
            let mut answer = Vec::new();
            while let Some(chunk) = call.chunk().await.map_err(|error| Error::broken(&doing, error))? {
                answer.extend_from_slice(&chunk);
                if answer.len() > ANSWER_SIZE_MAX {
                    break;
                }
            }
            Ok(answer)
        };
        let answer = tokio::time::timeout(CALL_TIMEOUT, exchange)
            .await
            .map_err(|_| Error::TimedOut { doing: doing.clone(), after: CALL_TIMEOUT })??;
        let created: Created =
            serde_json::from_slice(&answer).map_err(|error| Error::broken(&doing, error))?;
        for warning in created.warnings.into_iter().flatten() {
            tracing::warn!(container = name, warning, "the Engine warns");
        }
        Ok(created.id)
    }
}

/// For a query: everything but letters, digits and `-._~/` as `%XX`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(escaped("shop-web_1.a/b"), "shop-web_1.a/b");
        assert_eq!(escaped("a b&c=é"), "a%20b%26c%3D%C3%A9");
    }
}
