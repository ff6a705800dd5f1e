//! `scopegate import openapi`, the binary: what it writes is good, and it writes nothing else.

use std::path::Path;
use std::process::{Command, Output};

const DOCUMENT: &str = r#"
openapi: 3.0.3
info: { title: Pet Store, version: 1.0.0 }
servers: [{ url: "https://api.example.com/v1" }]
paths:
  /pets/{petId}:
    get: { security: [{ o: [pets_read] }], responses: {} }
    delete: { security: [{ o: [pets_write, pets_admin] }], responses: {} }
components:
  securitySchemes:
    o: { type: oauth2, flows: { clientCredentials: { tokenUrl: "https://login.example.com/token", scopes: { pets_read: Read pets } } } }
"#;

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_scopegate")).args(arguments).current_dir(folder).output().unwrap();
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn what_is_imported_passes_check_and_what_is_left_out_is_told() {
    let folder = tempfile::tempdir().unwrap();
    // JSON and YAML are the same document.
    let json = serde_yaml::from_str::<serde_json::Value>(DOCUMENT).unwrap().to_string();
    let mut imported = Vec::new();
    for (file, text) in [("api.yaml", DOCUMENT), ("api.json", &json)] {
        std::fs::write(folder.path().join(file), text).unwrap();
        let (exit, out, err) = run(folder.path(), &["import", "openapi", file]);
        let told = "left out: it asks for several scopes at once, where any of a policy's grants it;\n  \
                    write it under the scope that should do\n  DELETE /pets/{petId}\n\n1 operation carried over\n";
        assert_eq!((exit, &*err), (0, told));
        crate::harness::check_schema(&out);
        imported.push(out);
    }
    assert_eq!(imported[0], imported[1]);
    assert!(imported[0].contains("          - GET /v1/pets/{petId}\n"), "{}", imported[0]);
    let output = ["import", "openapi", "api.json", "--output", "gateway.yaml", "--name", "pets"];
    assert_eq!(run(folder.path(), &output).0, 0);
    let (exit, out, err) = run(folder.path(), &["check", "--strict"]);
    assert_eq!((exit, &*out, &*err), (0, "gateway.yaml is good: 1 api, 1 scope, 1 service\n", ""));
}

#[test]
fn what_cannot_be_read_is_one_message_with_its_place_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let cut = "{\n \"openapi\": \"3.0.0\",\n \"paths\": {";
    for (text, said) in [
        (&b"\xff"[..], "api:1:1: this is not UTF-8"),
        (b"", "api: this is no OpenAPI document"),
        (b"a: [", "api:2:1: this is not YAML"),
        (cut.as_bytes(), "api:3:11: this is not JSON"),
        (b"<html>", "api: this is no OpenAPI document"),
        (b"swagger: '2.0'", "api: this is Swagger 2.0"),
        (b"openapi: 3.0.0", "api: no operation of this document could be carried over"),
    ] {
        std::fs::write(folder.path().join("api"), text).unwrap();
        let (exit, out, err) = run(folder.path(), &["import", "openapi", "api", "--output", "gateway.yaml"]);
        assert_eq!((exit, &*out), (2, ""), "{err}");
        assert!(err.starts_with(&format!("error: {said}")) && err.lines().count() == 1, "{said}\n{err}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["api"]);
    assert_eq!(run(folder.path(), &["import", "openapi", "none"]).0, 2);
    assert_eq!(run(folder.path(), &["import", "openapi", "api", "--name", "a b"]).0, 2);
}
