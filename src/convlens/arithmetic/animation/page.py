"""A scene as one HTML page that needs nothing else: play, step, scrub, with mouse, touch or keys."""

from html import escape
from string import Template

from convlens.arithmetic.animation.scene import Scene
from convlens.arithmetic.animation.svg import numbered_svg

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  :root { color-scheme: light dark; font-family: system-ui, sans-serif; }
  body { margin: 1.5rem auto; max-width: 72rem; padding: 0 1rem; }
  h1 { font-size: 1.2rem; font-weight: 600; }
  svg { max-width: 100%; height: auto; border-radius: 8px; }
  form { display: flex; gap: .6rem; align-items: center; margin-top: .8rem; flex-wrap: wrap; }
  button { font: inherit; padding: .35rem .8rem; min-width: 2.6rem; }
  input[type=range] { flex: 1; min-width: 12rem; }
</style>
<h1>$title</h1>
$picture
<form id="controls">
  <button type="button" id="play" aria-label="play or pause">▶</button>
  <button type="button" id="back" aria-label="step back">◀</button>
  <button type="button" id="next" aria-label="step forward">▶|</button>
  <input type="range" id="frame" min="0" max="$last" value="0" aria-label="step">
  <output id="count"></output>
</form>
<p><small>Space plays and pauses; the arrow keys step.</small></p>
<script>
  const frames = [...document.querySelectorAll('[data-frame]')], kept = [...document.querySelectorAll('[data-kept]')];
  const slider = document.getElementById('frame'), play = document.getElementById('play');
  let timer = null;
  function show(index) {
    slider.value = index = (index + frames.length) % frames.length;
    frames.forEach((group, i) => group.setAttribute('visibility', i === index ? 'visible' : 'hidden'));
    kept.forEach((group, i) => group.setAttribute('visibility', i <= index ? 'visible' : 'hidden'));
    document.getElementById('count').textContent = `$${index + 1} / $${frames.length}`;
  }
  function run(on) {
    clearInterval(timer);
    timer = on ? setInterval(() => show(+slider.value + 1), $milliseconds) : null;
    play.textContent = on ? '❚❚' : '▶';
  }
  function step(by) { run(false); show(+slider.value + by); }
  play.onclick = () => run(timer === null);
  document.getElementById('back').onclick = () => step(-1);
  document.getElementById('next').onclick = () => step(1);
  slider.oninput = () => { run(false); show(+slider.value); };
  document.onkeydown = event => {
    const act = {ArrowRight: () => step(1), ArrowLeft: () => step(-1), ' ': () => run(timer === null)}[event.key];
    if (act) { event.preventDefault(); act(); }
  };
  document.getElementById('controls').onsubmit = event => event.preventDefault();
  show(0);
  run(!matchMedia('(prefers-reduced-motion: reduce)').matches);
</script>
</html>
""")


def page(picture: Scene, title: str, seconds_per_frame: float) -> str:
    """Write the page."""
    return _PAGE.substitute(
        title=escape(title),
        picture=numbered_svg(picture),
        last=len(picture.frames) - 1,
        milliseconds=round(1000 * seconds_per_frame),
    )
