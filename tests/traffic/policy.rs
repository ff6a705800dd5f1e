//! The policies that the gateway is given one after another: the same apis, servers and scopes, and each time other keys.

/// All that the policy has.
pub(crate) const UPSTREAMS: [&str; 6] = ["items", "bulk", "scripted", "late", "grpc", "live"];
/// How often a scripted server is asked again.
pub(crate) const ATTEMPTS: usize = 2;

/// Of each generation.
pub(crate) const POLICY: &str = r#"
upstreams:
  items:
    servers: [$ITEMS]
    balance: $BALANCE
    retries: { attempts: 3, budget_percent: 100 }
    idle_timeout: 2s
    read_timeout: 120s   # what is held is not late
  bulk:
    servers: [$ITEMS]
    retries: { attempts: 3, budget_percent: 100 }
    ejection: { failures: $FAILURES, for: 200ms }
    idle_timeout: 2s
    read_timeout: 120s
  scripted:
    servers: [$SCRIPTED]
    retries: { attempts: 2, budget_percent: 100 }
    idle_connections: 0
  late:
    servers: [$SCRIPTED]
    retries: { attempts: 2, budget_percent: 100 }
    first_byte_timeout: 300ms
  grpc: { servers: [$GRPC], http2: true, retries: { attempts: 3, budget_percent: 100 }, idle_timeout: 2s, read_timeout: 120s }
  live: { servers: [$LIVE], retries: { attempts: 3, budget_percent: 100 }, idle_timeout: 2s }
apis:
  - name: items
    base_path: /items
    upstream: items
    account: { path: account }
    cors: { origins: ["$ORIGIN"], max_age: 10m }
    scopes:
      - { name: items, services: ["GET,HEAD,PUT,POST,DELETE /items/{account}/things/*", "GET /items/{account}/read/*"] }
      - { name: items-other, services: ["GET /items/{account}/other/*"] }
      - { name: flip, services: ["GET /items/{account}/$FLIP/*"] }
      - { name: flop, services: ["GET /items/{account}/$FLOP/*"] }
  - name: bulk
    base_path: /bulk
    upstream: bulk
    scopes:
      - { name: bulk, services: ["GET,POST /bulk/things/*"] }
      - { name: bulk-other, services: ["GET /bulk/other/*"] }
  - name: scripted
    base_path: /scripted
    upstream: scripted
    scopes:
      - { name: scripted, services: ["/scripted/*/*"] }
  - name: late
    base_path: /late
    upstream: late
    scopes:
      - { name: late, services: ["/late/*/*"] }
  - name: live
    base_path: /live
    upstream: live
    public: ["GET /live/open/*/*"]
    cors: { origins: ["$ORIGIN"] }
    scopes:
      - { name: live, services: ["GET /live/scoped/*/*"] }
      - { name: live-flip, services: ["GET /live/$FLIP/*/*"] }
      - { name: live-flop, services: ["GET /live/$FLOP/*/*"] }
  - name: test
    base_path: /test.v1.Test
    upstream: grpc
    scopes:
      - { name: test, services: ["POST /test.v1.Test/*"] }
      - { name: test-other, services: ["POST /test.v1.Test/Other"] }
"#;

/// Whether the policy of that generation grants `flip` what is asked under it.
pub(crate) fn flips(generation: u64) -> bool {
    !generation.is_multiple_of(2)
}

/// The policy of that generation: each has other keys than the one before.
pub(crate) fn variant(policy: &str, generation: u64) -> String {
    let (flip, flop) = if flips(generation) { ("flip", "flop") } else { ("flop", "flip") };
    let balance = if generation.is_multiple_of(3) { "least_requests" } else { "round_robin" };
    policy
        .replace("$FLIP", flip)
        .replace("$FLOP", flop)
        .replace("$BALANCE", balance)
        .replace("$FAILURES", &(3 + generation / 2 % 2).to_string())
}
