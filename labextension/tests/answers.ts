// Answers of a server, as JSON would bring them.

import type { ModelSummary, ServerStatus } from '../src/api';

export function aStatus(changes: Partial<ServerStatus> = {}): ServerStatus {
  return {
    server_id: 'server-1',
    version: '0.1.0',
    protocol: 1,
    model_count: 1,
    executor: {
      state: 'ready',
      pid: 42,
      uptime_s: 3.5,
      restarts: 0,
      connections: 1,
      deployments: [
        {
          reference: 'digits@2',
          version_id: 'version-2',
          state: 'ready',
          pid: 43,
          queued: 0,
          running: 0,
          calls: 7,
          failures: 0,
          restarts: 0,
          memory_bytes: 1024
        }
      ]
    },
    devices: [],
    ...changes
  };
}

export function aModel(changes: Partial<ModelSummary> = {}): ModelSummary {
  return {
    name: 'digits',
    active: 2,
    latest: 2,
    version_count: 2,
    state: 'ready',
    description: null,
    tags: [],
    runtime: 'onnx',
    updated_at: '2026-01-02T03:04:05Z',
    ...changes
  };
}
