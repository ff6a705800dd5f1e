// Holds objects of the Prometheus operator, as JSON on standard input, against its schemas.

import * as monitoring from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

let text = "";
for await (const piece of process.stdin) text += piece;
let bad = 0;
for (const object of JSON.parse(text)) {
  const Kind = monitoring[object.kind];
  const shown = `${object.kind} ${object.metadata?.name}`;
  try {
    if (object.apiVersion !== "monitoring.coreos.com/v1" || Kind === undefined) throw new Error("no such kind");
    new Kind(object).validate();
  } catch (error) {
    bad += 1;
    console.error(`${shown}: ${error.message}`);
  }
}
process.exit(bad === 0 ? 0 : 1);
