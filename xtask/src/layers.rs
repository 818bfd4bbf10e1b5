//! The layer table of ARCHITECTURE.md. A crate may depend only on crates of lower layers.

/// Crates by layer, lowest first.
pub(crate) const LAYERS: &[(&str, &[&str])] = &[
    ("L0 base", &["wharf-base"]),
    ("L1 words", &["wharf-compose", "wharf-dockerfile", "wharf-model"]),
    ("L2 kernel I/O", &["wharf-disk", "wharf-docker", "wharf-http", "wharf-secrets", "wharf-state"]),
    (
        "L3 subsystems",
        &[
            "wharf-access",
            "wharf-balancer",
            "wharf-bench",
            "wharf-cache",
            "wharf-console",
            "wharf-deploy",
            "wharf-fleet",
            "wharf-image",
            "wharf-lab",
            "wharf-registry",
        ],
    ),
    ("L4 binary", &["wharf"]),
];

/// Crates that only tests use; they may depend on anything below L3 and nothing may depend on them but tests.
pub(crate) const DEV_ONLY: &[&str] = &["wharf-test-support"];

/// Crates of pure languages: no tokio, no files, no clock.
pub(crate) const PURE: &[&str] = &["wharf-compose", "wharf-dockerfile"];

/// The layer of a crate, 0 for the lowest.
pub(crate) fn layer_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, crates)| crates.contains(&name))
}
