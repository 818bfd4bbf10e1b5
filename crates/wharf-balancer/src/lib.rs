//! HTTP load balancer: immutable tables, pools, health, drain, access log.
