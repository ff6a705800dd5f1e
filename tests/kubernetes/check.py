"""Holds deploy/kubernetes to what Kubernetes and the gateway ask of it.

Each kustomization is built by kubectl. What comes out is held against Kubernetes' published schemas, those of
the Prometheus operator, the restricted Pod Security Standard, itself (what one object names, another has), and
its policies against `scopegate check`. `make test-kubernetes` runs it.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "kubernetes"
# The oldest that has all that is used (`preStop.sleep`), and the newest that the schemas are there for.
VERSIONS = ["1.30", "1.37"]
BUILT = ["standalone", "sidecar", "examples/from-git", "examples/sidecar-watched"]


def build(folder):
    text = subprocess.run(["kubectl", "kustomize", folder], check=True, capture_output=True, text=True, cwd=DEPLOY)
    if text.stderr:
        raise SystemExit(f"{folder}: {text.stderr}")
    return list(yaml.safe_load_all(text.stdout))


def is_monitor(item):
    return item["apiVersion"].startswith("monitoring.coreos.com/")


def schema_problems(items):
    for item in items:
        if is_monitor(item):
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(item, version, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                where = "/".join(map(str, getattr(error, "path", [])))
                yield f"{item['kind']} {where}: {error.message} (Kubernetes {version})"
    monitors = json.dumps([item for item in items if is_monitor(item)])
    script = pathlib.Path(__file__).with_name("monitors.mjs")
    held = subprocess.run(["node", script], input=monitors, capture_output=True, text=True)
    if held.returncode != 0:
        yield from held.stderr.splitlines() or ["the operator's schemas could not be asked"]


def pod_problems(deployment):
    """The restricted Pod Security Standard, and what the gateway asks besides."""
    pod = deployment["spec"]["template"]["spec"]
    if pod.get("automountServiceAccountToken") is not False:
        yield "a service account's token is mounted"
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(shared):
            yield shared
    for volume in pod["volumes"]:
        if not set(volume) <= {"name", "configMap", "emptyDir", "secret"}:
            yield f"the volume {volume['name']} is of another kind"
    volumes = {volume["name"] for volume in pod["volumes"]}
    ours = [one for one in pod.get("initContainers", []) + pod["containers"] if one["name"] != "api"]
    for container in ours:
        name, own = container["name"], container.get("securityContext", {})
        effective = {**pod.get("securityContext", {}), **own}
        if not (effective.get("runAsNonRoot") is True and effective.get("runAsUser", 0) > 0):
            yield f"{name} may be root"
        if effective.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name} has no seccomp profile"
        if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{name} may have privileges"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{name} can write its root"
        if "memory" not in container["resources"]["limits"]:
            yield f"{name} has no bound on its memory"
        yield from (f"{name} mounts no {m['name']}" for m in container["volumeMounts"] if m["name"] not in volumes)
    gateway = next(one for one in ours if one["name"] == "scopegate")
    if not all(mount.get("readOnly") for mount in gateway["volumeMounts"]):
        yield "the gateway can write its policy"
    if any("subPath" in mount for mount in gateway["volumeMounts"]):
        yield "a file mounted by `subPath` is never updated"
    for probe, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
        if gateway[probe]["httpGet"] != {"path": path, "port": "admin"}:
            yield probe
    pause = gateway["lifecycle"]["preStop"]["sleep"]["seconds"]
    # `limits.drain_timeout` where the file does not say, and what the last bytes and tasks may take after it.
    if pod["terminationGracePeriodSeconds"] <= pause + 10 + 3:
        yield "it is killed before its requests have ended"


def matches(selector, labels):
    wanted = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
    expressions = selector.get("matchExpressions", [])
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        labels.get(one["key"]) in one["values"] for one in expressions)


def link_problems(items):
    """What one object names, another has."""
    of = lambda kind: [item for item in items if item["kind"] == kind]
    deployment, = of("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"] for c in deployment["spec"]["template"]["spec"]["containers"] for port in c.get("ports", [])}
    if not matches(deployment["spec"]["selector"], labels):
        yield "the Deployment does not select its own pods"
    for service in of("Service"):
        if not matches(service["spec"]["selector"], labels):
            yield "the Service leads nowhere"
        if {port["targetPort"] for port in service["spec"]["ports"]} != {"http"}:
            yield "the Service leads past the gateway"
    for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        found = of(kind)
        if not found or not all(matches(item["spec"][key], labels) for item in found):
            yield f"no {kind} is of these pods"
    for policy in of("NetworkPolicy"):
        for rule in policy["spec"]["ingress"]:
            names = {port["port"] for port in rule["ports"]}
            if not names <= ports or ("admin" in names) != ("from" in rule):
                yield f"the network policy lets in by {names}"
    monitors = of("PodMonitor")
    if monitors and not any(matches(item["spec"]["selector"], labels) for item in monitors):
        yield "no monitor looks at these pods"
    for item in monitors:
        if not {end["port"] for end in item["spec"]["podMetricsEndpoints"]} <= ports:
            yield "a monitor looks at a port that is not there"
    for scaler in of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) != ("Deployment", deployment["metadata"]["name"]):
            yield "the autoscaler scales nothing"
        if "replicas" in deployment["spec"]:
            yield "the Deployment and the autoscaler disagree"
    maps = {item["metadata"]["name"] for item in of("ConfigMap")}
    for volume in deployment["spec"]["template"]["spec"]["volumes"]:
        if "configMap" in volume and volume["configMap"]["name"] not in maps:
            yield f"there is no ConfigMap {volume['configMap']['name']}"


def policy_problems(items):
    for item in items:
        if item["kind"] == "ConfigMap":
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "gateway.yaml"
                path.write_text(item["data"]["gateway.yaml"])
                said = subprocess.run([sys.argv[1], "check", path], capture_output=True, text=True)
                if said.returncode != 0:
                    yield said.stdout + said.stderr


def rule_problems(items):
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yaml").read_text())
    for item in items:
        if item["kind"] == "PrometheusRule" and item["spec"] != rules:
            yield "components/monitors/rules.yaml has other alerts than deploy/prometheus/rules.yaml"


def main():
    bad = 0
    for folder in BUILT:
        items = build(folder)
        deployment = next(item for item in items if item["kind"] == "Deployment")
        problems = [*schema_problems(items), *pod_problems(deployment), *link_problems(items), *policy_problems(items),
                    *rule_problems(items)]
        for problem in problems:
            print(f"{folder}: {problem}")
        print(f"{folder}: {len(items)} objects, {len(problems)} problems")
        bad += len(problems)
    folders = {path.parent.relative_to(DEPLOY).as_posix() for path in DEPLOY.rglob("kustomization.yaml")}
    missed = {folder for folder in folders if not folder.startswith("components/")} - set(BUILT)
    if missed:
        print(f"nobody builds {missed}")
    sys.exit(1 if bad or missed else 0)


if __name__ == "__main__":
    main()
