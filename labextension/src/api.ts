// Bodies of the REST API: mirrors norman_protocol/rest.py.

export interface ErrorBody {
  readonly code: string;
  readonly message: string;
  readonly request_id?: string | null;
  readonly details?: Readonly<Record<string, unknown>>;
}

export type VersionState = 'loading' | 'ready' | 'failed';

export interface ModelSummary {
  readonly name: string;
  readonly active: number | null;
  readonly latest: number;
  readonly version_count: number;
  readonly state: VersionState;
  readonly description: string | null;
  readonly tags: readonly string[];
  readonly runtime: string;
  readonly updated_at: string;
}

export interface ModelPage {
  readonly items: readonly ModelSummary[];
  readonly next_cursor?: string | null;
}

export interface DeploymentStatus {
  readonly reference: string;
  readonly version_id: string;
  readonly state: 'stopped' | 'starting' | 'ready' | 'failed';
  readonly pid?: number | null;
  readonly queued?: number;
  readonly running?: number;
  readonly calls?: number;
  readonly failures?: number;
  readonly restarts?: number;
  readonly memory_bytes?: number;
}

export interface ExecutorStatus {
  readonly state: 'starting' | 'ready' | 'restarting' | 'stopped';
  readonly pid?: number | null;
  readonly uptime_s?: number | null;
  readonly restarts?: number;
  readonly connections?: number;
  readonly deployments?: readonly DeploymentStatus[];
}

export interface ServerStatus {
  readonly server_id: string;
  readonly version: string;
  readonly protocol: number;
  readonly model_count: number;
  readonly executor: ExecutorStatus;
  readonly devices?: readonly DeviceStatus[];
}

export interface DeviceStatus {
  readonly name: string;
  readonly kind: 'cpu' | 'gpu';
  readonly description?: string;
  readonly cores?: number;
  readonly memory_total_bytes?: number;
  readonly memory_used_bytes?: number;
}
