//! The report's page in a real headless browser, from a file, without a network.

mod devtools;

use std::path::Path;

use devtools::Page;
use hydra_simulation::campaign::{self, Case, Failure, Plan, Seeds};
use hydra_simulation::report::Report;
use hydra_simulation::subjects;
use serde_json::{Value, json};

/// What `hydra audit hydra-as-audited` finds in its first runs, as its page.
fn page() -> String {
    let entry = subjects::find("hydra-as-audited").unwrap();
    let plan = Plan {
        seeds: Seeds::Range(0, 40),
        part: 1,
        of: 1,
        workers: Vec::new(),
        check_determinism: false,
        broken_max: 20,
    };
    let outcome = campaign::run(&entry, &plan, |_| {});
    let mut report = Report::new(outcome.judgements.unwrap(), "Forty simulated clusters.", "hydra audit");
    for (property, seed) in outcome.first.iter().take(2) {
        let failure = Failure::of(&entry, &Case::of_seed(*seed, &[]), *property, "hydra replay").unwrap();
        report.cases.push(failure.told);
    }
    assert!(!report.cases.is_empty());
    report.to_html()
}

/// Everything that is wrong with the page, one line each.
fn problems(folder: &Path, html: &str) -> Vec<String> {
    let file = folder.join("report.html");
    std::fs::write(&file, html).unwrap();
    let mut page = Page::open();
    page.ask(
        "Network.emulateNetworkConditions",
        json!({
            "offline": true, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1
        }),
    );
    page.go(&format!("file://{}", file.display()));
    let mut problems = Vec::new();
    let mut demand = |holds: bool, what: &str| {
        if !holds {
            problems.push(what.to_owned());
        }
    };
    verdict_first(&mut page, &mut demand);
    lanes(&mut page, &mut demand);
    details(&mut page, &mut demand);
    print(&mut page, &mut demand);
    demand(page.requests().is_empty(), &format!("it asks for {:?}", page.requests()));
    demand(page.complaints().is_empty(), &format!("the console says {:?}", page.complaints()));
    problems
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn verdict_first(page: &mut Page, demand: &mut impl FnMut(bool, &str)) {
    let badge = page.eval("document.querySelector('h1 .badge')?.innerText ?? ''");
    demand(badge == "BROKEN", &format!("the heading says {badge}, not BROKEN"));
    let top = page.eval("document.querySelector('h1')?.getBoundingClientRect().bottom ?? 9999");
    demand(number(&top) < 450.0, &format!("the verdict ends at {top} px: not at the top of the page"));
    let table = page.eval("document.querySelector('table')?.getBoundingClientRect().top ?? -1");
    demand(number(&table) > number(&top), "the verdict does not come before the table");
    let rows = page.eval("document.querySelectorAll('tbody tr').length");
    demand(number(&rows) >= 25.0, &format!("the table has {rows} promises"));
}

fn lanes(page: &mut Page, demand: &mut impl FnMut(bool, &str)) {
    let names = page.eval("[...document.querySelectorAll('svg .lane-name')].map(name => name.textContent).join(' ')");
    let names = names.as_str().unwrap_or_default().to_owned();
    for lane in ["client", "A", "store", "receivers"] {
        demand(names.split(' ').any(|name| name == lane), &format!("no lane {lane} among {names:?}"));
    }
    let seen = page.eval(
        "[...document.querySelectorAll('section svg')].every(svg => { const box = svg.getBoundingClientRect(); \
         return box.width > 400 && box.height > 100 && getComputedStyle(svg).visibility === 'visible' }) \
         && document.querySelectorAll('section svg').length > 0",
    );
    demand(seen == true, "a timeline is not visible");
    let marked = page.eval("document.querySelectorAll('svg .mark.in-pair').length");
    demand(number(&marked) >= 1.0, "the contradicting pair is not marked");
}

/// Pointing at a mark shows its details, and going away hides them.
fn details(page: &mut Page, demand: &mut impl FnMut(bool, &str)) {
    const SHOWN: &str = "[...document.querySelectorAll('svg .detail')].filter(detail => \
         getComputedStyle(detail).visibility === 'visible').map(detail => detail.textContent.trim()).join('|')";
    let at = page.eval(
        "(() => { const hit = document.querySelector('svg .hit'); if (!hit) return null; \
         hit.scrollIntoView({block: 'center'}); const box = hit.getBoundingClientRect(); \
         return { x: box.x + box.width / 2, y: box.y + box.height / 2 } })()",
    );
    if at.is_null() {
        return demand(false, "nothing to point at");
    }
    page.point_at(1.0, 1.0);
    let before = page.eval(SHOWN);
    demand(before == "", &format!("details are shown before anything is pointed at: {before}"));
    page.point_at(number(&at["x"]), number(&at["y"]));
    let shown = page.eval(SHOWN);
    demand(shown.as_str().is_some_and(|text| text.len() > 10), &format!("pointing at a mark shows {shown}"));
    page.point_at(1.0, 1.0);
    let after = page.eval(SHOWN);
    demand(after == "", "the details stay");
}

/// On paper: some pages, every finding on them, no shadow of what only a pointer can show.
fn print(page: &mut Page, demand: &mut impl FnMut(bool, &str)) {
    let printed = page.ask("Page.printToPDF", json!({ "printBackground": true }));
    let data = printed["data"].as_str().unwrap_or_default();
    // Base64 of "%PDF-".
    demand(data.starts_with("JVBERi0"), "it does not print");
    demand(data.len() > 20_000, &format!("what it prints is {} bytes long: empty pages", data.len() * 3 / 4));
    page.ask("Emulation.setEmulatedMedia", json!({ "media": "print" }));
    let hidden =
        page.eval("[...document.querySelectorAll('svg .hover')].every(it => getComputedStyle(it).display === 'none')");
    demand(hidden == true, "what only a pointer can show is printed");
    let wide = page.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    demand(number(&wide) <= 0.0, &format!("on paper it is {wide} px too wide"));
    page.ask("Emulation.setEmulatedMedia", json!({ "media": "" }));
}

#[test]
fn the_page_of_an_audit_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let found = problems(folder.path(), &page());
    assert!(found.is_empty(), "{found:#?}");
}

/// The check itself: each planted fault is named.
#[test]
fn a_page_that_is_wrong_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = page()
        .replace("</body>", "<script>throw new Error('planted')</script><img src='http://127.0.0.1:9/x.png'></body>")
        .replace(".hover:hover .detail", ".hover:active .detail")
        .replace("svg .hover { display: none; }", "")
        .replace("class=\"lane-name\"", "class=\"lane-nameless\"")
        .replace(">BROKEN</span>", ">KEPT</span>");
    let found = problems(folder.path(), &wrong).join("\n");
    for expected in
        ["heading says", "no lane store", "pointing at a mark shows", "is printed", "asks for", "console says"]
    {
        assert!(found.contains(expected), "{expected} is missing in:\n{found}");
    }
}
