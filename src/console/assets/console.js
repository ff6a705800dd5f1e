// What is nicer with a script; every page does all it does without one.
"use strict";

// The panel beside a form: what it would do, as one types.
for (const form of document.querySelectorAll("form[data-live]")) {
  const panel = document.getElementById("live");
  const status = document.getElementById("live-status");
  let timer = 0;
  let asked = new AbortController();

  const look = async () => {
    asked.abort();
    asked = new AbortController();
    const fields = new URLSearchParams(new FormData(form));
    fields.set("step", "effects");
    panel.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(form.dataset.live, { method: "POST", body: fields, signal: asked.signal });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const effects = page.querySelector(".effects");
      if (!effects) return;
      panel.replaceChildren(document.adoptNode(effects));
      if (status.textContent !== effects.dataset.summary) status.textContent = effects.dataset.summary;
    } catch {
      // Another look is under way, or the gateway has gone: the page says what it said.
    } finally {
      panel.removeAttribute("aria-busy");
    }
  };

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 250);
  });

  // The button that asks for the same without a script.
  form.querySelector('button[value="test"]')?.addEventListener("click", (event) => {
    event.preventDefault();
    look();
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

// What went wrong is read out first.
document.querySelector("[data-focus]")?.focus();
