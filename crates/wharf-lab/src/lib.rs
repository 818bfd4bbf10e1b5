//! Throw-away Docker hosts on this machine, from namespaces.
