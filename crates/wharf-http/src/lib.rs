//! HTTP edges: listeners with TLS and drain, certificates, client, error answers.
