/** What the service manager runs: start order, states, logs. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { get, segment } from '../lib/api'
import { count } from '../lib/format'
import { place, to } from '../lib/router'
import type { Process } from '../lib/types'
import { ActButtons } from '../parts/act'
import { Ago, Empty, Facts, Head, ServiceLink, State } from '../parts/bits'
import { processAct } from '../state/acts'
import { processes, tickNo } from '../state/store'
import { processWord } from '../state/words'

/** Processes in the waves in which they start. */
export function waves(all: readonly Process[]): Process[][] {
  const wave = new Map<string, number>()
  const of = (p: Process, depth = 0): number => {
    const known = wave.get(p.name)
    if (known !== undefined || depth > 64) return known ?? 0
    const before = (p.dependsOn ?? []).flatMap((d) => all.filter((other) => other.name === d.name))
    const own = before.length ? Math.max(...before.map((other) => of(other, depth + 1))) + 1 : 0
    wave.set(p.name, own)
    return own
  }
  const found: Process[][] = []
  for (const p of all) (found[of(p)] ??= []).push(p)
  return found.filter(Boolean)
}

export default function Processes() {
  const all = processes.value ?? []
  const name = place.value.path[1]
  const chosen = all.find((p) => p.name === name)
  if (all.length === 0) {
    return (
      <div>
        <Head title="Processes" />
        <Empty title="The service manager runs nothing here" commands={['ellie up', 'ellie ps', 'ellie logs -f NAME']}>
          Name processes under <code>[[processes]]</code> in the configuration, in a Procfile or a compose file, and <code>ellie up</code> starts them in the order of their dependencies, registers them and shows them here with their logs.
        </Empty>
      </div>
    )
  }
  return (
    <div class="stack">
      <Head title="Processes" sub={count(all.length, 'process', 'processes')} />
      <div class="waves scroll-x" tabIndex={0} role="region" aria-label="Start order">
        {waves(all).map((wave, i) => (
          <ol key={i} aria-label={`Wave ${i + 1}`}>
            {wave.map((p) => (
              <li key={p.name}>
                <a class={`node static ${processWord(p.state).tone}`} href={to(['processes', p.name])} aria-current={p.name === name ? 'true' : undefined}>
                  <span class="node-name clip">{p.name}</span>
                  <span class="node-sub"><State word={processWord(p.state)} size={12} />{p.restarts ? <span class="dim num">{count(p.restarts, 'restart')}</span> : null}</span>
                  {p.dependsOn?.length ? <span class="dim clip">after {p.dependsOn.map((d) => d.name).join(', ')}</span> : null}
                </a>
              </li>
            ))}
          </ol>
        ))}
      </div>
      {chosen && (
        <section class="panel">
          <h2>{chosen.name} <State word={processWord(chosen.state)} /></h2>
          <div class="padded stack-tight">
            <div class="head-actions"><ActButtons acts={[processAct(chosen, 'restart'), processAct(chosen, 'stop'), processAct(chosen, 'start')]} /></div>
            <Facts items={[['Pid', chosen.pid ?? '–'], ['Port', chosen.port ?? '–'], ['Since', <Ago at={chosen.since} plain />], ['Restarts', chosen.restarts ?? 0], ['Exit code', chosen.exitCode ?? '–'], ['Why', chosen.reason ?? '–'], ['Service', chosen.service ? <ServiceLink name={chosen.service} /> : '–']]} />
            <Logs key={chosen.name} name={chosen.name} />
          </div>
        </section>
      )}
    </div>
  )
}

interface LogLine {
  at?: string
  stream?: string
  text: string
}

/** The last lines, asked for every second while somebody looks; it follows unless the reader has scrolled up. */
function Logs({ name }: { name: string }) {
  const [lines, setLines] = useState<LogLine[]>([])
  const [error, setError] = useState('')
  const box = useRef<HTMLPreElement>(null)
  useEffect(() => {
    get<{ lines: LogLine[] }>(`processes/${segment(name)}/logs?lines=400`).then(
      (answer) => {
        setLines(answer.lines)
        setError('')
      },
      (reason: unknown) => setError(reason instanceof Error ? reason.message : String(reason)),
    )
  }, [name, tickNo.value])
  useEffect(() => {
    const element = box.current
    if (element && element.scrollHeight - element.scrollTop - element.clientHeight < 80) element.scrollTop = element.scrollHeight
  }, [lines])
  return (
    <pre class="logs" ref={box} tabIndex={0} aria-label={`Log of ${name}`}>
      {error || lines.map((line, i) => <span key={i} class={line.stream === 'err' || line.stream === 'stderr' ? 'err' : ''}>{line.text}{'\n'}</span>)}
    </pre>
  )
}
