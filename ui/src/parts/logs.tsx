/** What processes write, live. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { get, segment } from '../lib/api'
import { clock } from '../lib/format'
import { filter, refine } from '../lib/router'
import { tickNo } from '../state/store'
import { Filter } from './bits'

interface LogLine {
  id: number
  at: string
  process: string
  stream: string
  text: string
}

/** Lines asked for; older ones are for `ellie logs`. */
const TAIL = 400

/** The last lines, asked for with every tick while somebody looks; it follows unless the reader has scrolled up. */
export function Logs({ name }: { name: string | null }) {
  const [lines, setLines] = useState<LogLine[] | null>(null)
  const [error, setError] = useState('')
  const box = useRef<HTMLDivElement>(null)
  const following = useRef(true)
  const asking = useRef(false)
  const query = filter('q')
  useEffect(() => {
    // A tab that nobody sees asks for nothing; one question at a time.
    if (asking.current || (lines && document.hidden)) return
    asking.current = true
    get<{ lines: LogLine[] }>(`processes/${name === null ? '-' : segment(name)}/logs?tail=${TAIL}`)
      .then(
        (answer) => {
          // The same lines are not drawn again.
          setLines((old) => (old && old.length === answer.lines.length && old.at(-1)?.id === answer.lines.at(-1)?.id ? old : answer.lines))
          setError('')
        },
        (reason: unknown) => setError(reason instanceof Error ? reason.message : String(reason)),
      )
      .finally(() => (asking.current = false))
  }, [name, tickNo.value])
  const shown = useMemo(() => {
    const wanted = query.toLowerCase()
    return (lines ?? []).filter((line) => !wanted || line.text.toLowerCase().includes(wanted) || (name === null && line.process.toLowerCase().includes(wanted)))
  }, [lines, query, name])
  useEffect(() => {
    const element = box.current
    if (element && following.current) element.scrollTop = element.scrollHeight
  }, [shown])
  return (
    <div class="padded stack-tight">
      <div class="tools"><Filter label="Filter the log" placeholder="Text in the log" value={query} onChange={(q) => refine({ q })} /></div>
      {error && <p class="bad" role="alert">{error}</p>}
      <div
        class="logs"
        ref={box}
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label={name === null ? 'Log of all processes' : `Log of ${name}`}
        onScroll={(event) => {
          const element = event.currentTarget
          following.current = element.scrollHeight - element.scrollTop - element.clientHeight < 40
        }}
      >
        {shown.map((line) => (
          <div key={line.id} class={`log-line ${line.stream}`}>
            <time class="dim" dateTime={line.at}>{clock(Date.parse(line.at))}</time>
            {name === null && <span class="log-of clip">{line.process}</span>}
            <span class="log-text">{line.stream === 'err' && <span class="offscreen">error output: </span>}{line.text}</span>
          </div>
        ))}
        {shown.length === 0 && <p class="dim">{lines === null ? 'Loading …' : lines.length ? 'No line has that.' : 'Nothing has been written yet.'}</p>}
      </div>
    </div>
  )
}
