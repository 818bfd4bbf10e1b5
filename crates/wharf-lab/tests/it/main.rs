//! Labs for real: every test here makes hosts, so each needs root and namespaces.

mod crash;
mod faults;
mod life;
mod machine;
mod test_lab;
