use serde_json::json;

use crate::browser::Browser;
use crate::service::Demo;

/// The newest order's event has gone all of its way.
const ARRIVED: &str = "document.querySelectorAll('#orders article:first-of-type li.done').length === 7";
/// It waits, and the page says so.
const WAITING: &str = "document.querySelectorAll('#orders article:first-of-type li.waiting').length > 0";

#[test]
fn the_page_shows_an_events_way_and_how_it_recovers() {
    let demo = Demo::start(&["demo"]);
    let mut page = Browser::start();
    page.emulate(1280, 900, "light");
    page.open(&demo.url("/"));
    page.wait("document.getElementById('connection').textContent === 'This page is up to date.'");

    // By keyboard alone.
    page.evaluate("document.querySelector('[name=quantity]').focus()");
    page.press("Enter", 13);
    await_order(&mut page, 1, ARRIVED);
    page.wait("document.getElementById('summary').textContent.includes('the effect is committed')");
    let times = page.evaluate("document.querySelectorAll('#orders article:first-of-type time').length");
    assert_eq!(times, 7, "each step has its time");

    for (switch, order) in [("relay", 2), ("broker", 3)] {
        click(&mut page, &format!("#switch-{switch}"));
        page.wait("document.querySelectorAll('#demo .critical').length === 1");
        click(&mut page, "#place");
        await_order(&mut page, order, WAITING);
        if switch == "relay" {
            check_design(&mut page);
        }
        click(&mut page, &format!("#switch-{switch}"));
        page.wait("document.querySelectorAll('#demo .critical').length === 0");
        await_order(&mut page, order, ARRIVED);
    }

    click(&mut page, "#switch-handler");
    page.wait("document.querySelectorAll('#dead-letters li').length === 1");
    await_order(&mut page, 4, "document.querySelectorAll('#orders article:first-of-type li.failed').length === 1");
    click(&mut page, "#place");
    await_order(&mut page, 5, ARRIVED);
    take_pictures(&mut page);
    click(&mut page, "#switch-handler");
    page.wait("document.querySelectorAll('#demo .critical').length === 0");
    click(&mut page, "#dead-letters form[action$=retry] button");
    page.wait("document.querySelectorAll('#dead-letters li').length === 0");
    page.wait("document.querySelectorAll('#orders article:nth-of-type(2) li.done').length === 7");

    click(&mut page, "#switch-handler");
    page.wait("document.querySelectorAll('#dead-letters li').length === 1");
    click(&mut page, "#dead-letters form[action$=discard] button");
    page.wait("document.querySelectorAll('#dead-letters li').length === 0");
    assert_eq!(page.errors, Vec::<String>::new());

    // The page survives a restart of the service, and shows what somebody else does.
    let unreachable = "document.getElementById('connection').textContent.startsWith('The service cannot be reached')";
    let demo = demo.restart(|| page.wait(unreachable));
    page.wait("document.getElementById('connection').textContent === 'This page is up to date.'");
    page.wait("document.querySelector('#orders article') === null");
    let order = json!({ "customer_id": 1, "product_id": 101, "quantity": 2 });
    assert_eq!(demo.agent.post(demo.url("/orders")).send_json(order).unwrap().status(), 201);
    await_order(&mut page, 1, ARRIVED);
}

/// Waits for an element, and clicks it.
fn click(page: &mut Browser, selector: &str) {
    page.wait(&format!("document.querySelector('{selector}') !== null"));
    page.evaluate(&format!("document.querySelector('{selector}').click()"));
}

/// Waits until the newest order is this one, and its event has come as far as that.
fn await_order(page: &mut Browser, order: u32, state: &str) {
    page.wait(&format!("document.querySelector('#order-{order}') !== null"));
    page.wait(&format!("document.querySelector('#orders article h3').id === 'order-{order}' && {state}"));
}

/// Checks what does not depend on the events: labels, contrast, keyboard, width, resources.
fn check_design(page: &mut Browser) {
    let tree = page.call("Accessibility.getFullAXTree", &json!({}));
    let controls: Vec<_> = tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| ["button", "spinbutton", "link"].contains(&node["role"]["value"].as_str().unwrap_or_default()))
        .map(|node| node["name"]["value"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(controls.len() >= 10 && controls.iter().all(|name| !name.is_empty()), "{controls:?}");

    for scheme in ["light", "dark"] {
        page.emulate(1280, 900, scheme);
        let faint = page.evaluate(CONTRAST);
        assert_eq!(faint, json!([]), "{scheme}: texts with a contrast below 4.5");
        for width in [320, 390, 768, 1280] {
            page.emulate(width, 900, scheme);
            let wide = page.evaluate(TOO_WIDE);
            assert_eq!(wide, json!([]), "elements that are wider than the page, at {width}");
        }
    }

    page.evaluate("document.activeElement.blur(); document.querySelector('.skip').focus()");
    let mut reached = Vec::new();
    for _ in 0..8 {
        page.press("Tab", 9);
        let focus = "(e => (e.id || e.name) + ' ' + getComputedStyle(e).outlineStyle)(document.activeElement)";
        reached.push(page.evaluate(focus).as_str().unwrap().to_owned());
    }
    for control in ["quantity solid", "place solid", "switch-relay solid"] {
        assert!(reached.iter().any(|focus| focus == control), "{control}: {reached:?}");
    }

    let origin = page.evaluate("location.origin");
    let resources = page.evaluate("performance.getEntriesByType('resource').map(entry => new URL(entry.name).origin)");
    assert!(resources.as_array().unwrap().iter().all(|resource| *resource == origin), "{resources}");
}

/// Returns the elements that make the page wider than the window.
const TOO_WIDE: &str = r"
[...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll, .skip') && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(e => e.outerHTML.slice(0, 200))";

/// Returns the texts whose contrast with their background is less than WCAG 2.2 demands (AA).
const CONTRAST: &str = r"
(() => {
  const parse = color => color.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const back = e => {
    for (; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || ['SCRIPT', 'STYLE'].includes(parent.tagName)) continue;
    const [a, b] = [light(parse(getComputedStyle(parent).color)), light(back(parent))].sort((a, b) => b - a);
    if ((a + .05) / (b + .05) < 4.5) faint.push(walker.currentNode.textContent.trim());
  }
  return faint;
})()";

/// Takes the pictures of the documentation. They are only kept if `UPDATE_SCREENSHOTS` is set.
fn take_pictures(page: &mut Browser) {
    let pictures = [("light", 1280, 1120, "light"), ("dark", 1280, 1120, "dark"), ("phone", 390, 1280, "light")];
    for (name, width, height, scheme) in pictures {
        page.emulate(width, height, scheme);
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)");
        let picture = page.screenshot();
        assert!(picture.starts_with(b"RIFF") && picture.len() > 10_000);
        if std::env::var_os("UPDATE_SCREENSHOTS").is_some() {
            let images = xtask::stack::workspace().join("docs/images");
            std::fs::create_dir_all(&images).unwrap();
            std::fs::write(images.join(format!("order-service-{name}.webp")), picture).unwrap();
        }
    }
    page.emulate(1280, 900, "light");
}
