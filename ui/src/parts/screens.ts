/** The screens, in the order of the navigation; `key` follows `g`. */
export const SCREENS = [
  { path: '', label: 'Overview', icon: 'overview', key: 'o', group: 0 },
  { path: 'services', label: 'Services', icon: 'services', key: 's', group: 1 },
  { path: 'topology', label: 'Topology', icon: 'topology', key: 't', group: 1 },
  { path: 'balancer', label: 'Load balancer', icon: 'balancer', key: 'l', group: 2 },
  { path: 'breakers', label: 'Breakers', icon: 'breakers', key: 'b', group: 2 },
  { path: 'gateway', label: 'Gateway', icon: 'gateway', key: 'g', group: 2 },
  { path: 'processes', label: 'Processes', icon: 'processes', key: 'p', group: 3 },
  { path: 'events', label: 'Events', icon: 'events', key: 'e', group: 3 },
  { path: 'config', label: 'Config', icon: 'config', key: 'c', group: 3 },
] as const
