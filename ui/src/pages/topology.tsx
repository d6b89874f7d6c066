/** Services, whom they call and who calls them. */
import { useMemo } from 'preact/hooks'
import { int, rate } from '../lib/format'
import { filter, refine, to } from '../lib/router'
import { natural } from '../lib/sorted'
import { Empty, Head, State } from '../parts/bits'
import { Icon } from '../parts/icon'
import { condition } from '../state/condition'
import { GATEWAY, type Node, layout } from '../state/graph'
import { members, rev, routes, services, tick, tickNo } from '../state/store'

const [W, H, GX, GY] = [190, 52, 90, 16]
/** More than this can't be taken in at once. */
const MOST = 80

export default function Topology() {
  void rev.value
  void tickNo.value
  const wanted = filter('focus')
  const crowded = services.size > MOST
  const linked = useMemo(() => [...services.values()].filter((s) => s.wire.dependencies?.length).map((s) => s.name), [members.value, rev.value])
  const focus = wanted || (crowded ? (linked[0] ?? [...services.keys()].sort(natural)[0] ?? '') : '')
  const { nodes, edges } = useMemo(() => layout(services, routes.value, focus), [members.value, rev.value, routes.value, focus])
  if (services.size === 0) {
    return <div><Head title="Topology" /><Empty title="Nothing to draw yet" commands={['ellie register orders --port 3001 --depends payments --depends users']}>A service states what it depends on when it registers; routes add the gateway.</Empty></div>
  }
  const layers = Math.max(0, ...nodes.map((n) => n.layer)) + 1
  const tallest = Math.max(1, ...nodes.map((n) => n.slot + 1))
  const sizes = new Map<number, number>()
  for (const n of nodes) sizes.set(n.layer, (sizes.get(n.layer) ?? 0) + 1)
  const place = new Map(nodes.map((n) => [n.name, { x: n.layer * (W + GX), y: (n.slot + (tallest - (sizes.get(n.layer) ?? 1)) / 2) * (H + GY) }]))
  const width = layers * (W + GX) - GX
  const height = tallest * (H + GY) - GY
  return (
    <div class="stack">
      <Head title="Topology" sub={<span>{focus ? `${focus} and its neighbours` : `${int(services.size)} services`}{crowded && !wanted ? ` of ${int(services.size)} services` : ''}</span>}>
        <label class="inline"><span class="dim">Around</span> <input class="select" list="topology-names" data-filter placeholder="all services" value={wanted} onChange={(event) => refine({ focus: services.has(event.currentTarget.value) ? event.currentTarget.value : undefined })} /></label>
        <datalist id="topology-names">{[...services.keys()].sort(natural).slice(0, 2000).map((name) => <option key={name} value={name} />)}</datalist>
        {wanted && <button type="button" class="button" onClick={() => refine({ focus: undefined })}>{crowded ? 'Clear' : 'All services'}</button>}
      </Head>
      <div class="scroll-x map" tabIndex={0} role="region" aria-label="Map of services">
        <div class="map-area" style={{ width: `${width}px`, height: `${height}px` }}>
          <svg width={width} height={height} aria-hidden="true">
            {edges.map((edge) => {
              const [a, b] = [place.get(edge.from), place.get(edge.to)]
              if (!a || !b) return null
              const [x1, y1, x2, y2] = [a.x + W, a.y + H / 2, b.x, b.y + H / 2]
              const tone = toneOf(edge.to)
              return <path key={`${edge.from}>${edge.to}`} d={`M${x1} ${y1}C${x1 + GX / 2} ${y1} ${x2 - GX / 2} ${y2} ${x2} ${y2}`} class={`edge ${tone}`} stroke-width={1 + Math.min(4, Math.sqrt(tick.value?.services?.[edge.to]?.rps ?? 0) / 6)} stroke-dasharray={tone === 'bad' ? '5 3' : undefined} />
            })}
          </svg>
          {nodes.map((node) => <Box key={node.name} node={node} at={place.get(node.name) ?? { x: 0, y: 0 }} focus={node.name === focus} />)}
        </div>
      </div>
      <p class="dim">Lines lead from a caller to what it calls; their width is the traffic that the gateway sees, dashed red is a service in trouble. Click a service to see what is one step from it.</p>
    </div>
  )
}

function toneOf(name: string): string {
  const { tone } = condition(name)
  return tone === 'bad' || tone === 'warn' ? tone : ''
}

function Box({ node, at, focus }: { node: Node; at: { x: number; y: number }; focus: boolean }) {
  const style = { transform: `translate(${at.x}px, ${at.y}px)` }
  if (node.name === GATEWAY || node.kind === 'gateway') {
    return <a class="node" href={to(['gateway'])} style={style}><span class="node-name"><Icon name="gateway" size={14} /> gateway</span><span class="dim num">{rate(tick.value?.rps ?? 0)} req/s</span></a>
  }
  const word = condition(node.name)
  return (
    <a class={`node ${word.tone} ${focus ? 'focus' : ''}`} href={focus ? to(['services', node.name]) : to(['topology'], { focus: node.name })} style={style}>
      <span class="node-name clip">{node.name}</span>
      <span class="node-sub"><State word={word} size={12} />{services.has(node.name) && <span class="dim num">{rate(tick.value?.services?.[node.name]?.rps ?? 0)}/s</span>}</span>
    </a>
  )
}
