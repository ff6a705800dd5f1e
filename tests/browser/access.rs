//! What everybody must be able to do with a page, whatever they see it with: checked on the page as the
//! browser has it.

use serde_json::Value;

use super::driver::{Browser, Look};

/// A desk and a phone, by day and by night.
pub(crate) const LOOKS: [Look; 4] = [
    Look { name: "desk-light", width: 1280, height: 900, scheme: "light" },
    Look { name: "desk-dark", width: 1280, height: 900, scheme: "dark" },
    Look { name: "phone-light", width: 360, height: 740, scheme: "light" },
    Look { name: "phone-dark", width: 360, height: 740, scheme: "dark" },
];

/// As `WebDriver` has the key.
const TAB: &str = "\u{e004}";

/// Texts whose contrast is too low, by WCAG 2.2's 1.4.3, and borders of controls by its 1.4.11.
const CONTRAST: &str = r##"
const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
const context = canvas.getContext("2d", { willReadFrequently: true });
const read = (colour) => {
  context.clearRect(0, 0, 1, 1); context.fillStyle = "#000"; context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
const ground = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const colour = read(getComputedStyle(at).backgroundColor);
    if (colour[3] > 0) layers.push(colour);
    if (colour[3] >= 1) break;
  }
  return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]);
};
const light = ([r, g, b]) => {
  const part = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
};
const ratio = (one, other) => {
  const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
};
const wrong = [];
let seen = 0;
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
  if (element.closest(".unseen, .skip, [disabled]")) continue;
  const style = getComputedStyle(element), size = parseFloat(style.fontSize), bold = style.fontWeight >= 700;
  const below = ground(element), found = ratio(over(read(style.color), below), below);
  seen += 1;
  if (found < (size >= 24 || (bold && size >= 18.66) ? 3 : 4.5)) {
    wrong.push(`${found.toFixed(2)}: ${element.tagName} ${element.className} “${texts.currentNode.data.trim().slice(0, 40)}”`);
  }
}
for (const control of document.querySelectorAll("input:not([type=hidden], [type=checkbox], [type=radio]), textarea, select")) {
  if (!control.checkVisibility()) continue;
  const around = ground(control.parentElement), found = ratio(over(read(getComputedStyle(control).borderTopColor), around), around);
  seen += 1;
  if (found < 3) wrong.push(`${found.toFixed(2)}: the border of ${control.name}`);
}
return [seen, wrong];
"##;

/// What Tab reaches, in the order of the page.
const REACHABLE: &str = r#"
return [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
  .filter((e) => e.tabIndex >= 0 && !e.disabled && e.type !== "hidden" && e.checkVisibility({ visibilityProperty: true }))
  .filter((e) => e.type !== "radio" || e.checked || !document.querySelector(`input[name="${e.name}"]:checked`))
  .map((e, i) => { e.dataset.tabs = i; return e.outerHTML.slice(0, 120); });
"#;

/// Ids that stand twice, references that lead nowhere, a page without its marks.
const STRUCTURE: &str = r##"
const wrong = [];
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
for (const id of ids.filter((id, i) => ids.indexOf(id) !== i)) wrong.push(`the id ${id} stands twice`);
for (const name of ["aria-describedby", "aria-labelledby", "for"])
  for (const element of document.querySelectorAll(`[${name}]`))
    for (const id of element.getAttribute(name).split(/\s+/))
      if (!document.getElementById(id)) wrong.push(`${name}="${id}" leads nowhere`);
for (const link of document.querySelectorAll('a[href^="#"]'))
  if (!document.getElementById(link.hash.slice(1))) wrong.push(`${link.hash} leads nowhere`);
if (!document.documentElement.lang) wrong.push("no language");
if (!document.title) wrong.push("no title");
if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
if (document.querySelectorAll("main").length !== 1) wrong.push("not one main");
let level = 0;
for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
  if (!heading.checkVisibility()) continue;
  const own = Number(heading.tagName[1]);
  if (own > level + 1 && level > 0) wrong.push(`h${own} after h${level}: ${heading.textContent}`);
  level = own;
}
return wrong;
"##;

/// All that is wrong with the page that the browser shows, in one look.
pub(crate) fn faults(browser: &Browser, page: &str, look: Look) -> Vec<String> {
    let texts =
        |found: &Value| found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    let mut faults: Vec<String> = texts(&browser.run(STRUCTURE, &[]));
    let contrast = browser.run(CONTRAST, &[]);
    assert!(contrast[0].as_u64() > Some(2), "there is hardly a text");
    faults.extend::<Vec<_>>(texts(&contrast[1]));
    let widest = browser.run("return document.documentElement.scrollWidth", &[]);
    if widest.as_u64() > Some(look.width.into()) {
        faults.push(format!("it is {widest} pixels wide"));
    }
    faults.extend(nameless(browser));
    faults.iter().map(|fault| format!("{page}, {}: {fault}", look.name)).collect()
}

/// Controls that assistive technology has no name for.
fn nameless(browser: &Browser) -> Vec<String> {
    let controls = "input:not([type=hidden]), select, textarea, button:not([aria-hidden]), a[href], summary";
    let shown = browser.run(
        "return [...document.querySelectorAll(arguments[0])].map(e => [e.checkVisibility(), e.outerHTML.slice(0, 120)])",
        &[controls.into()],
    );
    let all = browser.all(controls);
    let shown = all.iter().zip(shown.as_array().unwrap()).filter(|(_, shown)| shown[0] == true);
    let nameless = shown.filter(|(element, _)| browser.label(element).trim().is_empty());
    nameless.map(|(_, shown)| format!("no name: {}", shown[1])).collect()
}

/// All that is wrong with where Tab goes: it reaches everything that can be used, once, in the order of the
/// page, and shows where it is.
pub(crate) fn tab_faults(browser: &Browser, page: &str) -> Vec<String> {
    let reachable = browser.run(REACHABLE, &[]);
    let reachable = reachable.as_array().unwrap();
    browser.run("document.activeElement?.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)", &[]);
    // Tab goes on from where one was.
    browser.run(
        "const a = document.createElement('a'); a.tabIndex = -1; document.body.prepend(a); a.focus(); a.remove()",
        &[],
    );
    let mut faults = Vec::new();
    for (place, expected) in reachable.iter().enumerate() {
        browser.key(TAB);
        let focused = browser.run(
            "const e = document.activeElement, c = e.closest('.choice, .card') ?? e;
             const ring = [e, c, c.querySelector('h2 a')].filter(Boolean).some(x =>
               [getComputedStyle(x), getComputedStyle(x, '::after')].some(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 1));
             return [e.dataset.tabs ?? e.outerHTML.slice(0, 120), ring]",
            &[],
        );
        if focused[0].as_str().and_then(|place| place.parse().ok()) != Some(place) {
            faults.push(format!("{page}: Tab goes to {} and not to {expected}", focused[0]));
            break;
        }
        if focused[1] != true {
            faults.push(format!("{page}: the focus cannot be seen on {expected}"));
        }
    }
    if !reachable.first().and_then(Value::as_str).is_some_and(|first| first.contains("skip")) {
        faults.push(format!("{page}: the first is no skip link"));
    }
    faults
}
