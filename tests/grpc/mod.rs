//! gRPC through the gateway, by a real client and a real server: grpcio's. `make test-grpc` runs it.

use std::path::Path;
use std::process::Command;

use harness::{Gateway, Process, Signer, Upstream, now, wait_for};
use serde_json::json;

const POLICY: &str = r"
identity_headers: { subject: X-Auth-Subject }
apis:
  - name: test
    base_path: /test.v1.Test
    upstream: grpc
    scopes:
      - name: test-all
        services:
          - POST /test.v1.Test/Unary
          - POST /test.v1.Test/Listing
          - POST /test.v1.Test/Endless
          - POST /test.v1.Test/Collecting
          - POST /test.v1.Test/Echoing
      - { name: test-other, services: [POST /test.v1.Test/Other] }
";

fn python(script: &str, arguments: &[&str]) -> Process {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("target/grpc/bin/python"));
    command.arg(root.join("tests/grpc").join(script)).args(arguments);
    Process::spawn(command, root)
}

fn said(process: &Process) -> String {
    process.log.lock().unwrap().clone()
}

#[test]
fn a_client_calls_a_server_in_every_way_and_is_refused_as_grpc_refuses() {
    let address = harness::free_address().to_string();
    let server = python("server.py", &[&address]);
    wait_for("the server", || said(&server).contains("serves ").then_some(()));
    let upstreams = format!("\nupstreams: {{ grpc: {{ servers: [\"{address}\"], http2: true }} }}");
    let gateway = Gateway::start_listening("http2: true", &format!("{upstreams}{POLICY}"), Upstream::start(), |_| {});
    let token = |scope: &str| Signer::shared().token(json!({ "scope": scope, "sub": "somebody" }));
    // Beyond the issuer's leeway, in five seconds.
    let short = Signer::shared().token(json!({ "scope": "test-all", "exp": now() + 5 - 30 }));
    let target = gateway.address.to_string();
    let mut client = python("client.py", &[&target, &token("test-all"), &token("test-other"), &short]);
    let code = client.ended();
    println!("{}", said(&client));
    assert_eq!(code, Some(0), "{}\n{}", said(&client), said(&server));
    // A deadline, a cancelled call and one that was ended reach the server.
    wait_for("the server's calls to end", || (said(&server).matches("ended").count() == 3).then_some(()));
    let lines = gateway.audit(18);
    assert_eq!(lines.iter().filter(|line| line["ended"] == "token_expired").count(), 2, "{lines:#?}");
    let refused = lines.iter().filter(|line| line["decision"] == "deny").count();
    assert_eq!(refused, 6, "{lines:#?}");
}
