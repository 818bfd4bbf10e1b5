//! Labs for real: every test here makes hosts, so each needs root and namespaces.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod crash;
mod faults;
mod life;
mod machine;
mod test_lab;
