// Paints a mask over a picture. Runs once per gr.HTML component; the server replaces the markup with every new picture.
const START_SIZE = 9; // per cent of the longer side
const build = (root) => {
  const surface = root.querySelector('.pg-surface');
  const canvas = document.createElement('canvas');
  canvas.width = Number(root.dataset.width);
  canvas.height = Number(root.dataset.height);
  canvas.tabIndex = 0;
  canvas.setAttribute('role', 'application');
  canvas.setAttribute('aria-label', 'Paint over what may change. Arrow keys move the brush, with Shift by one pixel; hold Space to paint; '
    + 'plus and minus change its size; E erases; Z takes back the last stroke.');
  const ring = document.createElement('span');
  ring.className = 'pg-brush';
  ring.hidden = true;
  surface.append(canvas, ring);
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  pen.lineCap = pen.lineJoin = 'round';
  const size = root.querySelector('[data-size]');
  const erase = root.querySelector('[data-erase]');
  const past = [];
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  };
  // The server drops what was painted over another picture than the one it has by then.
  const send = () => trigger('select', { mask: canvas.toDataURL('image/png'), source: root.dataset.source });
  const keep = () => {
    past.push(pen.getImageData(0, 0, canvas.width, canvas.height));
    if (past.length > 20) past.shift();
  };
  let last = null;
  const width = () => Math.max(canvas.width, canvas.height) * Number(size.value) / 100;
  const stroke = ([x, y]) => {
    pen.globalCompositeOperation = erase.getAttribute('aria-pressed') === 'true' ? 'destination-out' : 'source-over';
    pen.strokeStyle = '#0f766e';
    pen.lineWidth = width();
    pen.beginPath();
    pen.moveTo(...(last || [x, y]));
    pen.lineTo(x, y);
    pen.stroke();
    last = [x, y];
  };
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button) return;
    event.preventDefault();
    keep();
    ring.hidden = true;
    canvas.setPointerCapture(event.pointerId);
    stroke(at(event));
  });
  canvas.addEventListener('pointermove', (event) => { if (last && !held) stroke(at(event)); });
  const end = () => { if (last) { last = null; send(); } };
  canvas.addEventListener('pointerup', end);
  canvas.addEventListener('pointercancel', end);
  const toggle = () => erase.setAttribute('aria-pressed', String(erase.getAttribute('aria-pressed') !== 'true'));
  const undo = () => { if (past.length) { pen.putImageData(past.pop(), 0, 0); send(); } };
  erase.addEventListener('click', toggle);
  root.querySelector('[data-undo]').addEventListener('click', undo);
  root.querySelector('[data-clear]').addEventListener('click', () => {
    keep();
    pen.clearRect(0, 0, canvas.width, canvas.height);
    send();
  });

  // The same by keyboard: a brush that is seen, moved by the arrow keys.
  let brush = [canvas.width / 2, canvas.height / 2];
  let held = false;
  const show = () => {
    ring.hidden = false;
    ring.style.left = `${100 * brush[0] / canvas.width}%`;
    ring.style.top = `${100 * brush[1] / canvas.height}%`;
    ring.style.width = `${100 * width() / canvas.width}%`;
  };
  const release = () => { if (held) { held = false; end(); } };
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const keys = {
    ' ': (event) => { if (!event.repeat) { keep(); held = true; stroke(brush); } },
    '+': () => size.stepUp(), '=': () => size.stepUp(), '-': () => size.stepDown(),
    e: toggle, E: toggle, z: undo, Z: undo,
  };
  canvas.addEventListener('keydown', (event) => {
    const way = ways[event.key];
    if (!way && !keys[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    if (way) {
      const far = event.shiftKey ? 1 : Math.max(1, width() / 2);
      brush = [Math.min(canvas.width, Math.max(0, brush[0] + way[0] * far)), Math.min(canvas.height, Math.max(0, brush[1] + way[1] * far))];
      if (held) stroke(brush);
    } else keys[event.key](event);
    show();
  });
  canvas.addEventListener('keyup', (event) => { if (event.key === ' ') release(); });
  canvas.addEventListener('focus', () => { if (canvas.matches(':focus-visible')) show(); });
  canvas.addEventListener('blur', () => { release(); ring.hidden = true; });
  size.addEventListener('input', () => { if (!ring.hidden) show(); });
  size.value = String(START_SIZE);
};
const look = () => element.querySelectorAll('.pg-painter:not([data-built])').forEach((root) => {
  root.dataset.built = '1';
  build(root);
});
new MutationObserver(look).observe(element, { childList: true, subtree: true });
look();
