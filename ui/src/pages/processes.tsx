/** What the service manager runs: start order, states, logs. */
import { useMemo } from 'preact/hooks'
import { count, span } from '../lib/format'
import { place, to } from '../lib/router'
import type { Process } from '../lib/types'
import { ActButtons } from '../parts/act'
import { Ago, Empty, Facts, Head, InstanceLink, State } from '../parts/bits'
import { Icon } from '../parts/icon'
import { Logs } from '../parts/logs'
import { processAct, processActs } from '../state/acts'
import { boxes, definitions, lines, took, WIDTH } from '../state/order'
import { members, processes, services } from '../state/store'
import { processWord } from '../state/words'

export default function Processes() {
  const all = processes.value
  const name = place.value.path[1]
  if (!all?.length) {
    return (
      <div>
        <Head title="Processes" />
        <Empty title="The service manager runs nothing here" commands={['ellie up', 'ellie ps', 'ellie logs -f NAME']}>
          Name processes under <code>[[processes]]</code> in the configuration, in a Procfile or a compose file, and <code>ellie up</code> starts them in the order of their dependencies, registers them and shows them here with their logs.
        </Empty>
      </div>
    )
  }
  const chosen = all.find((p) => p.name === name)
  const ready = all.filter((p) => p.state === 'ready' || p.state === 'completed').length
  return (
    <div class="stack">
      <Head title="Processes" sub={<span>{ready === all.length ? `all ${count(all.length, 'process', 'processes')} ready` : `${ready} of ${count(all.length, 'process', 'processes')} ready`}</span>}>
        <ActButtons acts={processActs()} />
      </Head>
      <Order all={all} chosen={name} />
      {chosen ? <One p={chosen} /> : name ? <p class="dim">There is no process <code>{name}</code>.</p> : null}
      <section class="panel">
        <h2>{chosen ? `Log of ${chosen.name}` : 'Log of all'}{chosen && <a class="dim" href={to(['processes'])}>of all</a>}</h2>
        <Logs key={chosen?.name ?? ''} name={chosen?.name ?? null} />
      </section>
    </div>
  )
}

/** Start order from left to right: who waits for whom. */
function Order({ all, chosen }: { all: readonly Process[]; chosen: string | undefined }) {
  const { found, edges, placed } = useMemo(() => {
    const found = definitions(all)
    return { found, edges: lines(found), placed: boxes(found) }
  }, [all])
  return (
    <div class="scroll-x map" tabIndex={0} role="region" aria-label="Start order">
      <div class="map-area" style={{ width: `${placed.width}px`, height: `${placed.height}px` }}>
        <svg width={placed.width} height={placed.height} aria-hidden="true">
          {edges.map((edge) => {
            const [a, b] = [placed.boxes.get(edge.from), placed.boxes.get(edge.to)]
            if (!a || !b) return null
            const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + a.height / 2, b.x, b.y + b.height / 2]
            const bend = Math.max(24, (x2 - x1) / 2)
            return <path key={`${edge.from}>${edge.to}`} d={`M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`} class={`edge ${edge.met ? '' : 'warn'}`} stroke-width={1.5} stroke-dasharray={edge.met ? undefined : '5 3'} />
          })}
        </svg>
        {found.map((d) => {
          const box = placed.boxes.get(d.name)
          if (!box) return null
          const worst = d.replicas.map((p) => processWord(p.state)).sort((a, b) => a.rank - b.rank)[0]
          const waits = edges.filter((edge) => edge.to === d.name)
          const after = waits.map((edge) => `${edge.from} (${edge.condition}${edge.met ? '' : ', not yet'})`).join(', ')
          return (
            <section key={d.name} class={`node unit ${worst?.tone ?? ''}`} style={{ transform: `translate(${box.x}px, ${box.y}px)`, height: `${box.height}px` }} aria-label={d.name} title={after && `after ${after}`}>
              <div class="unit-head"><span class="node-name clip">{d.name}</span>{d.replicas[0]?.external && <span class="dim">external</span>}</div>
              <ul>
                {d.replicas.map((p) => (
                  <li key={p.name}>
                    <a href={to(['processes', p.name])} aria-current={p.name === chosen ? 'true' : undefined} aria-label={p.name}>
                      <span class="unit-state">{d.replicas.length > 1 && <span class="dim num">{p.name.slice(d.name.length)}</span>}<State word={processWord(p.state)} size={12} /></span>
                      <span class="dim num">{p.restarts > 0 && <span title={count(p.restarts, 'restart')}><Icon name="refresh" size={10} /> {p.restarts} </span>}<Ago at={p.since} plain /></span>
                    </a>
                  </li>
                ))}
              </ul>
              {after && <span class="offscreen">after {after}</span>}
            </section>
          )
        })}
      </div>
    </div>
  )
}

function exitText(p: Process): string | null {
  const exit = p.lastExit
  if (!exit) return null
  const left = exit.left ? `, ${count(exit.left, 'process', 'processes')} that it left behind ended too` : ''
  if (exit.code !== undefined) return `exit code ${exit.code}${left}`
  if (exit.signal !== undefined) return `signal ${exit.signal}${left}`
  return `not known${left}`
}

function One({ p }: { p: Process }) {
  void members.value
  const { waited, started } = took(p)
  const exit = exitText(p)
  const service = [...services.values()].find((s) => s.rows.get(p.name)?.inst.source === 'process')
  const facts: [string, preact.ComponentChildren][] = [
    ['Since', <Ago at={p.since} />],
    ['Pid', p.external ? 'somebody else’s' : (p.pid ?? '–')],
    ['Port', p.port ?? '–'],
    ['Instance', service ? <InstanceLink service={service.name} id={p.name} /> : 'not registered'],
    ['Restarts', `${p.restarts}${p.failures > 1 ? `, ${p.failures} failures in a row` : ''}`],
  ]
  if (waited !== undefined && waited >= 1) facts.push(['Waited', `${span(waited)}${p.times.blocker ? `, at last for ${p.times.blocker}` : ''}`])
  if (started !== undefined) facts.push(['Ready', `${span(started)} after its start`])
  if (exit) facts.push(['Last end', exit])
  return (
    <section class="panel">
      <h2>{p.name} <State word={processWord(p.state)} />{p.reason && <span class="dim reason">{p.reason}</span>}</h2>
      <div class="padded stack-tight">
        {!p.external && <div class="head-actions">{<ActButtons acts={[processAct(p, 'restart'), processAct(p, 'stop'), processAct(p, 'start')].filter((act) => act.refuse?.() == null)} />}</div>}
        <Facts items={facts} />
        {p.dependencies.length > 0 && (
          <ul class="needs" aria-label={`What ${p.name} depends on`}>
            {p.dependencies.map((d) => (
              <li key={`${d.name}${d.condition}`}>
                <State word={d.met ? { word: 'holds', tone: 'ok', icon: 'check', rank: 1 } : { word: 'awaited', tone: 'warn', icon: 'clock', rank: 0 }} size={12} />
                <span><a class="name" href={to(['processes', all(d.name) ?? d.name])}>{d.name}</a> <span class="dim">{d.condition}</span></span>
              </li>
            ))}
          </ul>
        )}
      </div>
    </section>
  )
}

/** The first replica of a definition. */
function all(name: string): string | undefined {
  return processes.peek()?.find((p) => p.process === name)?.name
}
