//! What tests need: real peers or a named skip, free ports, children that end.
