//! Hosts, certificates of hosts, generations and the agent that converges to them.
