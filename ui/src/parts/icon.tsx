/** Signs of 16 by 16, drawn in the colour of the text. */
const PATHS: Record<string, string> = {
  overview: 'M2.5 13V7M6.2 13V3.5M9.8 13V9M13.5 13V5.5',
  services: 'M8 1.8 14 5 8 8.2 2 5zM2 8l6 3.2L14 8M2 11l6 3.2L14 11',
  topology: 'M4 6.5A2 2 0 1 0 4 2.5a2 2 0 0 0 0 4ZM12 13.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM12 6.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM6 4.5h4M4.5 6.6C5 10 7 11.500 10 11.500',
  balancer: 'M2 8h3.500M5.500 8 10 3.500h3.800M5.500 8l4.500 4.500h3.800M12 1.800l1.900 1.700L12 5.200M12 10.800l1.900 1.700-1.900 1.700',
  breakers: 'M1.500 10.500H5l5.500-5M10.500 10.500h4M5 10.500m-1 0a1 1 0 1 0 2 0 1 1 0 1 0-2 0M11 10.500m-1 0a1 1 0 1 0 2 0 1 1 0 1 0-2 0',
  gateway: 'M2 3h4v10H2zM10 3h4v10h-4zM6 6.500h4M6 9.500h4',
  processes: 'M2 3.500h12v9H2zM4.500 6.500 6.500 8l-2 1.500M8 10h3.500',
  events: 'M2.500 4h1M2.500 8h1M2.500 12h1M6 4h7.500M6 8h7.500M6 12h7.500',
  config: 'M2 4.500h6M11.500 4.500H14M2 11.500h2.500M8 11.500h6M9.800 4.500m-1.700 0a1.700 1.700 0 1 0 3.400 0 1.700 1.700 0 1 0-3.400 0M6.200 11.500m-1.700 0a1.700 1.700 0 1 0 3.400 0 1.700 1.700 0 1 0-3.400 0',
  sliders: 'M2 4.500h6M11.500 4.500H14M2 11.500h2.500M8 11.500h6M9.800 4.500m-1.700 0a1.700 1.700 0 1 0 3.400 0 1.700 1.700 0 1 0-3.400 0M6.200 11.500m-1.700 0a1.700 1.700 0 1 0 3.400 0 1.700 1.700 0 1 0-3.400 0',
  search: 'M7 11.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9ZM10.300 10.300 14 14',
  lock: 'M3.500 7h9v6.500h-9zM5.500 7V5a2.500 2.500 0 0 1 5 0v2',
  unlock: 'M3.500 7h9v6.500h-9zM5.500 7V4.500a2.500 2.500 0 0 1 4.900-.7',
  sun: 'M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1.500v1.300M8 13.200v1.300M1.500 8h1.300M13.200 8h1.300M3.400 3.400l.9.9M11.700 11.700l.9.9M12.600 3.400l-.9.9M4.300 11.700l-.9.9',
  moon: 'M13.500 9.700A6 6 0 0 1 6.300 2.500a6 6 0 1 0 7.200 7.200Z',
  auto: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 2v12M8 4.500l4.500 4.500M8 8l4 4M8 11.500l2 2',
  help: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM6.200 6.300a1.900 1.900 0 1 1 2.700 1.800c-.6.3-.9.700-.9 1.300M8 11.600v.1',
  copy: 'M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3',
  tick: 'M3 8.500 6.500 12 13 4.500',
  close: 'M3.500 3.500l9 9M12.500 3.500l-9 9',
  chevron: 'M6 3.500 10.500 8 6 12.500',
  menu: 'M2 4h12M2 8h12M2 12h12',
  more: 'M3.500 8v.1M8 8v.1M12.500 8v.1',
  undo: 'M3 6.500h6.500a3.500 3.500 0 0 1 0 7H6M3 6.500l3-3M3 6.500l3 3',
  refresh: 'M13.500 8a5.500 5.500 0 1 1-1.700-4M13.500 2v3h-3',
  plus: 'M8 3v10M3 8h10',
  minus: 'M3 8h10',
  clock: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 4.800V8l2.200 1.600',
  pause: 'M5.500 3.500v9M10.500 3.500v9',
  play: 'M5 3.200v9.600L12.500 8z',
  stop: 'M4 4h8v8H4z',
  person: 'M8 8a2.800 2.800 0 1 0 0-5.600A2.800 2.800 0 0 0 8 8ZM2.800 14c.5-2.800 2.500-4.200 5.200-4.200s4.700 1.400 5.200 4.200',
  wrench: 'M9.800 6.200 3 13M13.700 4.300l-2.200 2.200-2-2 2.200-2.200a3.300 3.300 0 0 0-4.200 4.200M13.700 4.300a3.300 3.300 0 0 1-4.200 4.200',
  drain: 'M8 2v7.500M4.500 6.500 8 10l3.500-3.500M3 13.500h10',
  undrain: 'M8 10V2.500M4.500 6 8 2.500 11.500 6M3 13.500h10',
  slash: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM3.800 12.200l8.400-8.400',
  eject: 'M8 3 13 9H3zM3 12.500h10',
  slow: 'M2 11.500a6 6 0 0 1 12 0M8 11.500 5 7',
  weight: 'M8 2.500v11M3 5h10M3 5 1.500 9.500h3zM13 5l-1.500 4.500h3z',
  trash: 'M2.500 4.500h11M6 4.500V2.500h4v2M4 4.500l.7 9h6.600l.7-9',
  link: 'M6.500 9.500l3-3M7 4.500l1.500-1.500a3 3 0 0 1 4.300 4.300L11.300 8.800M9 11.500 7.500 13a3 3 0 0 1-4.300-4.300L4.700 7.200',
  dot: 'M8 8.700a.7.7 0 1 0 0-1.400.7.7 0 0 0 0 1.400Z',
  dashed: 'M8 2a6 6 0 0 1 3 .8M13.200 5a6 6 0 0 1 .8 3M13.200 11a6 6 0 0 1-2.200 2.200M8 14a6 6 0 0 1-3-.8M2.800 11A6 6 0 0 1 2 8M2.800 5A6 6 0 0 1 5 2.800',
  half: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Z',
  filter: 'M2 3.500h12L9.500 8.800v4.200l-3-1.500V8.800z',
  'breaker-closed': 'M1.500 8h3M11.500 8h3M4.500 8m-.8 0a.8.8 0 1 0 1.600 0 .8.8 0 1 0-1.600 0M11.500 8m-.8 0a.8.8 0 1 0 1.600 0 .8.8 0 1 0-1.600 0M5.300 8h5.400',
  'breaker-open': 'M1.500 10.500h2.700M11.800 10.500h2.700M5 10.500m-.8 0a.8.8 0 1 0 1.600 0 .8.8 0 1 0-1.600 0M11 10.500m-.8 0a.8.8 0 1 0 1.600 0 .8.8 0 1 0-1.600 0M5.500 9.900 9.800 4.200',
}

/** Signs of a state are filled shapes that differ without their colour. */
const FILLED: Record<string, { shape: string; mark: string }> = {
  check: { shape: 'M8 14.500A6.500 6.500 0 1 0 8 1.500a6.500 6.500 0 0 0 0 13Z', mark: 'M5.200 8.200 7.200 10.200 10.900 5.900' },
  triangle: { shape: 'M8 1.600 15 14H1z', mark: 'M8 6.200v3.300M8 11.700v.1' },
  octagon: { shape: 'M5.300 1.500h5.400l3.800 3.800v5.400l-3.800 3.800H5.300l-3.800-3.800V5.300z', mark: 'M5.700 5.700l4.600 4.600M10.300 5.700l-4.600 4.600' },
}

export function Icon({ name, size = 16, label }: { name: string; size?: number; label?: string }) {
  const filled = FILLED[name]
  const a11y = label ? ({ role: 'img', 'aria-label': label } as const) : ({ 'aria-hidden': true } as const)
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 16 16" fill="none" {...a11y}>
      {filled ? (
        <>
          <path d={filled.shape} fill="currentColor" stroke="currentColor" stroke-width="1" stroke-linejoin="round" />
          <path d={filled.mark} class="icon-mark" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" />
        </>
      ) : (
        <>
          {name === 'half' && <path d="M8 2a6 6 0 0 0 0 12z" fill="currentColor" />}
          {(name === 'stop' || name === 'play') && <path d={PATHS[name] ?? ''} fill="currentColor" />}
          <path d={PATHS[name] ?? PATHS['dot'] ?? ''} stroke="currentColor" stroke-width={name === 'more' ? 2.2 : 1.4} stroke-linecap="round" stroke-linejoin="round" />
        </>
      )}
    </svg>
  )
}
