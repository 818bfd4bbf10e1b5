//! Applications, releases and rollouts.
