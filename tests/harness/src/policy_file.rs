//! The `gateway.yaml` of a test's gateway.

use std::net::SocketAddr;
use std::sync::LazyLock;

use jsonschema::Validator;

/// `gateway.yaml` with everything that a test's policy leaves out.
pub(crate) fn document(address: SocketAddr, listener: &str, admin: SocketAddr, upstream: &str, policy: &str) -> String {
    let issuers = if policy.contains("\nissuers:") {
        String::new()
    } else {
        "issuers:\n  - issuer: https://issuer.example\n    audiences: [https://api.example.com]\n    \
         keys: { file: jwks.json }\n    claims: { scope: scope, account: account_id, client: client_id }\n"
            .to_owned()
    };
    let upstreams = if policy.contains("\nupstreams:") {
        String::new()
    } else {
        format!("upstreams:\n  backend:\n    servers: [\"{upstream}\"]\n")
    };
    let audit = if policy.contains("\naudit:") { "" } else { "audit: { file: audit.jsonl }\n" };
    // A policy may say more of the admin address than where it is.
    let policy = policy.replace("$ADMIN", &admin.to_string());
    let admin = if policy.contains("\nadmin:") { String::new() } else { format!("admin:\n  address: {admin}\n") };
    format!(
        "version: 1\nthreads: 2\nlisteners:\n  - {{ address: \"{address}\", {listener} }}\n{admin}\
         {audit}{upstreams}{issuers}{}\n",
        policy.trim_start_matches('\n')
    )
}

/// Asserts that `gateway.schema.json` takes a policy that a gateway is started with.
pub fn check_schema(policy: &str) {
    static POLICY: LazyLock<Validator> = LazyLock::new(|| {
        jsonschema::validator_for(&serde_json::from_str(include_str!("../../../gateway.schema.json")).unwrap()).unwrap()
    });
    let policy_read = serde_yaml::from_str(policy).unwrap();
    let wrong: Vec<_> = POLICY.iter_errors(&policy_read).map(|error| error.to_string()).collect();
    assert_eq!(wrong, Vec::<String>::new(), "{policy}");
}
