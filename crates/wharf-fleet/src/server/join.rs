//! How a host becomes one: a token, a signing request, a certificate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::UnixMillis;
use wharf_http::ApiError;
use wharf_http::api::ApiRouter;
use wharf_model::{Event, HostReport, Name};

use super::fleet::{ACCOUNT_PREFIX, Fleet, Host};
use super::store::{HostRecord, Refusal, TokenRecord};
use super::{Handle, TOKEN_LIFE_MAX};
use crate::Error;
use crate::protocol::{JoinAnswer, JoinRequest, Life, RegistryAccount};
use crate::token::{JoinToken, equal_in_constant_time, random_hex, secret_hash};

/// LIMIT: bytes of a join request: a CSR of 1 KB, some labels.
const JOIN_BYTES_MAX: usize = 64 << 10;
/// LIMIT: labels of a host.
const LABELS_MAX: usize = 64;

/// What a token is to be like.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "NewJoinToken")]
#[serde(deny_unknown_fields, default)]
pub struct NewToken {
    /// How long it admits hosts.
    #[serde(with = "wharf_base::duration")]
    #[schemars(with = "String")]
    pub ttl: Duration,
    /// How many it admits.
    pub uses: u32,
    /// Labels that every host which joins with it gets.
    pub labels: BTreeMap<String, String>,
    /// The one name that it is good for; then also if a host has that name, which is replaced.
    pub host: Option<Name>,
}

impl Default for NewToken {
    fn default() -> NewToken {
        NewToken { ttl: Duration::from_secs(3_600), uses: 1, labels: BTreeMap::new(), host: None }
    }
}

/// A new token.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "JoinTokenMade")]
pub struct TokenMade {
    /// The token; shown this once.
    pub token: String,
    /// When it ends.
    pub expires: UnixMillis,
    /// What to run on the host.
    pub command: String,
}

/// `POST /join`, which needs no API token: the join token is what admits.
pub fn join_routes(handle: &Handle) -> ApiRouter {
    ApiRouter::new(Vec::new())
        .route("/join", post(join))
        .with(|router| router.layer(axum::extract::DefaultBodyLimit::max(JOIN_BYTES_MAX)))
        .with_state(Arc::clone(&handle.fleet))
}

async fn join(State(fleet): State<Arc<Fleet>>, body: Bytes) -> Result<Json<JoinAnswer>, ApiError> {
    let request: JoinRequest = super::routes::parse("the join request", &body)?;
    Ok(Json(fleet.join(request).await?))
}

impl Fleet {
    pub(crate) async fn make_token(&self, request: NewToken, by: &str) -> Result<TokenMade, Error> {
        if request.uses == 0 || request.ttl.is_zero() || request.ttl > TOKEN_LIFE_MAX {
            let days = TOKEN_LIFE_MAX.as_secs() / 86_400;
            return Err(Error::Invalid(format!("a token admits at least one host, for at most {days} days")));
        }
        check_labels(&request.labels)?;
        let token = JoinToken::new(self.deps.authority.fingerprint());
        let now = self.deps.clock.now();
        let record = TokenRecord {
            id: token.id.clone(),
            secret_hash: token.secret_hash(),
            expires: now.plus(request.ttl),
            uses_left: request.uses,
            labels: request.labels,
            host: request.host.clone(),
            made_by: by.to_owned(),
        };
        let expires = record.expires;
        self.store.put_token(record, now).await?;
        self.deps.events.emit(Event::JoinTokenMade {
            uses: request.uses,
            host: request.host.clone(),
            by: by.to_owned(),
        });
        let name = request.host.as_ref().map_or("NAME", Name::as_str);
        let command = format!("wharf join {} --token {token} --name {name}", self.deps.api_url);
        Ok(TokenMade { token: token.to_string(), expires, command })
    }

    async fn join(&self, request: JoinRequest) -> Result<JoinAnswer, Error> {
        // Strangers get no further than this, and hold up nobody.
        let token = self.admit(&request).await?;
        let _changing = self.changing.lock().await;
        let is_replacement = self.check_name(&request.name, &token)?;
        let mut labels = request.labels;
        labels.extend(token.labels);
        check_labels(&labels)?;

        let (id, password) = (random_hex(16), random_hex(20));
        let (signed, fingerprint) = self.sign(&request.csr, &id)?;
        let now = self.deps.clock.now();
        let record = HostRecord {
            id: id.clone(),
            name: request.name.clone(),
            labels,
            address: request.address,
            fingerprint: Some(fingerprint),
            former: None,
            expires: Some(signed.expires),
            registry_hash: Some(secret_hash(&password)),
            draining: false,
            joined: now,
            last_seen: now,
        };
        if !self.store.use_token(token.id.clone()).await? {
            return Err(refused(Refusal::Used));
        }
        if let Err(error) = self.store.put_host(record.clone(), is_replacement).await {
            self.store.return_token(token.id).await?;
            return Err(error);
        }
        let replaced = {
            let mut state = self.state();
            let replaced = state.take(&request.name);
            state.insert(Host::new(record, HostReport::default()));
            replaced
        };
        if let Some(host) = replaced {
            host.removed.cancel();
        }
        tracing::info!(host = %request.name, token = token.id, "host joined");
        self.deps.events.emit(Event::HostJoined { host: request.name.clone() });
        self.changed.notify_one();
        let address = &self.deps.server_address;
        let address = if address.contains(':') { format!("[{address}]") } else { address.clone() };
        Ok(JoinAnswer {
            certificate: signed.certificate,
            life: Some(Life { issued: signed.issued, expires: signed.expires }),
            ca: self.deps.authority.certificate_pem().to_owned(),
            host_id: id,
            agents_url: format!("https://{address}:{}", self.agents_port),
            registry: self.deps.registry.as_ref().map(|registry| RegistryAccount {
                address: registry.address.clone(),
                ca: registry.ca.clone(),
                username: format!("{ACCOUNT_PREFIX}{}", request.name),
                password,
            }),
        })
    }

    /// The stored token, if what was sent is one that admits.
    async fn admit(&self, request: &JoinRequest) -> Result<TokenRecord, Error> {
        let token: JoinToken = request.token.parse()?;
        if token.authority != self.deps.authority.fingerprint() {
            return Err(Error::Token { reason: "it was made by another server".to_owned() });
        }
        let stored = self.store.token(token.id.clone(), self.deps.clock.now()).await?.map_err(refused)?;
        if !equal_in_constant_time(&stored.secret_hash, &token.secret_hash()) {
            return Err(refused(Refusal::Unknown));
        }
        match &stored.host {
            Some(host) if *host != request.name => {
                Err(Error::Token { reason: format!("it was made for the host `{host}`") })
            }
            _ => Ok(stored),
        }
    }

    /// Whether the host replaces one of its name.
    fn check_name(&self, name: &Name, token: &TokenRecord) -> Result<bool, Error> {
        let state = self.state();
        match state.hosts.get(name) {
            Some(host) if host.record.fingerprint.is_none() => Err(Error::NameTaken(name.clone())),
            Some(_) if token.host.as_ref() == Some(name) => Ok(true),
            Some(_) => Err(Error::NameTaken(name.clone())),
            None if state.hosts.len() >= self.config.hosts_max => {
                let most = self.config.hosts_max;
                Err(Error::Full(format!("{most} hosts have joined, the most that agents.hosts_max allows")))
            }
            None => Ok(false),
        }
    }
}

fn refused(refusal: Refusal) -> Error {
    let reason = match refusal {
        Refusal::Unknown => "the server does not know it",
        Refusal::Expired => "it has expired",
        Refusal::Used => "it has been used",
    };
    Error::Token { reason: reason.to_owned() }
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), Error> {
    let is_good = |text: &str| text.len() <= 200 && !text.chars().any(char::is_control);
    if labels.len() > LABELS_MAX {
        return Err(Error::Invalid(format!("a host has at most {LABELS_MAX} labels")));
    }
    match labels.iter().find(|(key, value)| key.is_empty() || !is_good(key) || !is_good(value)) {
        Some((key, _)) => {
            let key: String = key.chars().take(40).collect();
            Err(Error::Invalid(format!("the label `{key}` is empty, too long or has control characters")))
        }
        None => Ok(()),
    }
}
