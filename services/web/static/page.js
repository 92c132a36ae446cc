"use strict";
// Refresh what changed, copy to the clipboard, read a chosen file into a text field. The pages work without this script.

const PERIOD_MS = 2000;

// Replace what changed, and only that: a reader's scroll position, selection and focus elsewhere stay.
async function refresh() {
  if (!document.body.hasAttribute("data-live") || document.hidden) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-refresh]")) {
    const next = fresh.getElementById(part.id);
    if (next && next.innerHTML !== part.innerHTML && !part.contains(document.activeElement)) part.replaceWith(next);
  }
  // What was not there before, such as the first job, needs the whole page.
  if (fresh.querySelectorAll("[data-refresh]").length !== document.querySelectorAll("[data-refresh]").length) location.reload();
  if (!fresh.body.hasAttribute("data-live")) document.body.removeAttribute("data-live");
}

async function copy(button) {
  await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button).catch(() => { button.textContent = "Select it and press Ctrl-C"; });
});

document.addEventListener("change", async (event) => {
  const into = event.target.dataset.into;
  if (into && event.target.files.length) document.getElementById(into).value = await event.target.files[0].text();
});

setInterval(() => refresh().catch(() => {}), PERIOD_MS); // a server that does not answer is asked again
