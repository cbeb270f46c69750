const element = id => document.getElementById(id);

// The server sends the parts that change. An element that has the focus keeps it.
function connect() {
  const source = new EventSource('/page/live');
  for (const id of ['summary', 'orders', 'lag', 'health', 'dead-letters', 'demo']) {
    source.addEventListener(id, event => show(id, event.data));
  }
  source.onopen = () => { element('connection').textContent = 'This page is up to date.'; };
  source.onerror = () => {
    element('connection').textContent = 'The service cannot be reached. This page is not up to date.';
    // After a response that is no stream, such as a proxy's, the browser does not try again.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  };
}

function show(id, html) {
  const part = element(id);
  if (!part) return;
  const focused = part.contains(document.activeElement) ? document.activeElement.id : '';
  part.innerHTML = html;
  // A button that is gone leaves the focus to the next one, or to the heading.
  if (focused) (element(focused) ?? part.querySelector('button') ?? part.closest('section').querySelector('h2')).focus();
}

connect();

// Forms are sent without leaving the page.
document.addEventListener('submit', async event => {
  event.preventDefault();
  const form = event.target;
  const message = element('message');
  try {
    const answer = await fetch(form.action, {
      method: 'POST', headers: { accept: 'text/plain' }, body: new URLSearchParams(new FormData(form)),
    });
    message.textContent = answer.ok ? await answer.text() : (await answer.json()).detail;
  } catch {
    message.textContent = 'The service cannot be reached.';
  }
});
