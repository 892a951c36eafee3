// Paints a mask over a picture. Runs once per gr.HTML component; the server replaces the markup with every new picture.
const START_SIZE = 9; // per cent of the longer side
const build = (root) => {
  const surface = root.querySelector('.pg-surface');
  const canvas = document.createElement('canvas');
  canvas.width = Number(root.dataset.width);
  canvas.height = Number(root.dataset.height);
  canvas.setAttribute('aria-label', 'Paint over what may change');
  surface.append(canvas);
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  pen.lineCap = pen.lineJoin = 'round';
  const size = root.querySelector('[data-size]');
  const erase = root.querySelector('[data-erase]');
  const past = [];
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
  };
  const send = () => trigger('select', { mask: canvas.toDataURL('image/png') });
  let last = null;
  const stroke = (event) => {
    const [x, y] = at(event);
    pen.globalCompositeOperation = erase.getAttribute('aria-pressed') === 'true' ? 'destination-out' : 'source-over';
    pen.strokeStyle = '#0f766e';
    pen.lineWidth = Math.max(canvas.width, canvas.height) * Number(size.value) / 100;
    pen.beginPath();
    pen.moveTo(...(last || [x, y]));
    pen.lineTo(x, y);
    pen.stroke();
    last = [x, y];
  };
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button) return;
    event.preventDefault();
    past.push(pen.getImageData(0, 0, canvas.width, canvas.height));
    if (past.length > 20) past.shift();
    canvas.setPointerCapture(event.pointerId);
    stroke(event);
  });
  canvas.addEventListener('pointermove', (event) => { if (last) stroke(event); });
  const end = () => { if (last) { last = null; send(); } };
  canvas.addEventListener('pointerup', end);
  canvas.addEventListener('pointercancel', end);
  erase.addEventListener('click', () => {
    erase.setAttribute('aria-pressed', String(erase.getAttribute('aria-pressed') !== 'true'));
  });
  root.querySelector('[data-undo]').addEventListener('click', () => {
    if (past.length) { pen.putImageData(past.pop(), 0, 0); send(); }
  });
  root.querySelector('[data-clear]').addEventListener('click', () => {
    past.push(pen.getImageData(0, 0, canvas.width, canvas.height));
    pen.clearRect(0, 0, canvas.width, canvas.height);
    send();
  });
  size.value = String(START_SIZE);
};
const look = () => element.querySelectorAll('.pg-painter:not([data-built])').forEach((root) => {
  root.dataset.built = '1';
  build(root);
});
new MutationObserver(look).observe(element, { childList: true, subtree: true });
look();
