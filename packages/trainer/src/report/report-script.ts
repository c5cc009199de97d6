/**
 * The read-out: one line on all charts at once, moved by a pointer or the arrow keys. Whole lines of its own and no value
 * of the run inside, so that the page's policy can allow this script, by its hash, and no other.
 */
export const REPORT_SCRIPT = `
(() => {
  const charts = [...document.querySelectorAll('.chart')].map((figure) => ({
    plot: figure.querySelector('.plot'),
    cursor: figure.querySelector('.cursor'),
    out: figure.querySelector('output'),
    rest: figure.querySelector('output').textContent,
    ...JSON.parse(figure.querySelector('script').textContent),
  }))
  const nearest = (xs, x) => {
    let [low, high] = [0, xs.length - 1]
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (xs[middle] < x) low = middle
      else high = middle
    }
    return x - xs[low] <= xs[high] - x ? low : high
  }
  const show = (step) => {
    for (const { cursor, out, last, series } of charts) {
      const found = series
        .filter(({ x }) => x.length)
        .map(({ name, near, x, y }) => ({ name, near, at: x[nearest(x, step)], y: y[nearest(x, step)] }))
        .filter(({ near, at }) => !near || series.length === 1 || Math.abs(at - step) <= last / 50)
      if (!found.length) continue
      cursor.style.left = (100 * Math.min(1, step / last)) + '%'
      cursor.classList.add('on')
      const said = found.map(({ name, y }) => (name ? name + ' ' : '') + y)
      out.textContent = ['step ' + found[0].at.toLocaleString('en-US'), ...said].join(' · ')
    }
  }
  const hide = () => {
    for (const { cursor, out, rest } of charts) {
      cursor.classList.remove('on')
      out.textContent = rest
    }
  }
  let step = 0
  for (const { plot, last } of charts) {
    plot.addEventListener('pointermove', (event) => {
      const { left, width } = plot.getBoundingClientRect()
      step = Math.max(0, Math.min(last, ((event.clientX - left) / width) * last))
      show(step)
    })
    plot.addEventListener('pointerleave', hide)
    plot.addEventListener('blur', hide)
    plot.addEventListener('keydown', (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key]
      if (!by) return
      event.preventDefault()
      step = Math.max(0, Math.min(last, step + by * Math.max(1, last / 100)))
      show(step)
    })
  }
})()
`

/** SHA-256 of the script, in base64. A test holds it against the script. */
export const REPORT_SCRIPT_HASH = 'r5yhUp2DMxHft8hTiEcVfQ9CNpK0R6RCPKTiJuDLrxc='
