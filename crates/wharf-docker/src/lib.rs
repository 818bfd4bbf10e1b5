//! Docker Engine API: negotiated client, BuildKit build call, trust in our registry.
