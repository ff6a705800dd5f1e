// The denials as they happen: the rows that are new go before those that are there.
for (const rows of document.querySelectorAll("[data-live-rows]")) {
  const status = document.getElementById("denials-status");
  const choice = document.querySelector("[data-live-switch]");
  const box = choice.querySelector("input");
  choice.hidden = false;
  const most = 256;

  const look = async () => {
    if (document.hidden || !box.checked) return;
    const newest = rows.querySelector("tr[data-number]")?.dataset.number ?? 0;
    const answer = await fetch(`${rows.dataset.liveRows}?after=${newest}`);
    if (answer.status === 401) {
      // The session has ended: the page leads to where one signs in.
      location.reload();
      return;
    }
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = [...page.querySelectorAll(`#${rows.id} tr[data-number]`)];
    if (fresh.length === 0) return;
    rows.querySelector("tr[data-none]")?.remove();
    for (const row of fresh) row.classList.add("fresh");
    rows.prepend(...fresh.map((row) => document.adoptNode(row)));
    for (const old of [...rows.querySelectorAll("tr[data-number]")].slice(most)) old.remove();
    status.textContent = fresh.length === 1 ? "One more was refused" : `${fresh.length} more were refused`;
  };

  const again = async () => {
    try {
      await look();
    } catch {
      // The gateway does not answer now; it is asked again.
    }
    setTimeout(again, 2000);
  };
  setTimeout(again, 2000);
}
