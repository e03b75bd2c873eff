// What this extension offers to other extensions.

import { Token } from '@lumino/coreutils';
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';

import type { ModelSummary, ServerStatus } from './api';

/**
 * How the last question to the server ended.
 *
 * `absent`: Jupyter answers, but knows nothing of Norman. `unreachable`:
 * Jupyter itself doesn't answer. `refused`: the session may not ask.
 * `failed`: the server answered with an error, or with something unreadable.
 */
export type Connection =
  | { readonly kind: 'loading' }
  | { readonly kind: 'online' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'refused' }
  | {
      readonly kind: 'failed';
      readonly message: string;
      readonly requestId: string | null;
    };

/**
 * What is known of the server. After a failure the last answer stays, so that
 * it can be shown as such.
 */
export interface ILibraryState {
  readonly connection: Connection;
  readonly status: ServerStatus | null;
  readonly models: readonly ModelSummary[];

  /** Whether the server has models beyond `models`. */
  readonly hasMore: boolean;

  /** Whether front end and server are of different releases. */
  readonly versionsDiffer: boolean;
}

/** The server's models and state, kept up to date while someone watches. */
export interface ILibraryModel {
  readonly state: ILibraryState;

  /** Emitted after `state` was replaced. */
  readonly stateChanged: ISignal<ILibraryModel, void>;

  /** Ask the server now. Never rejects: failures are part of the state. */
  refresh(): Promise<void>;

  /** Ask for one more page of models. Never rejects. */
  showMore(): Promise<void>;

  /** Begin to poll; dispose the answer when there is nothing to show. */
  watch(): IDisposable;
}

export const ILibraryModel = new Token<ILibraryModel>(
  'norman-jupyter:ILibraryModel',
  "The Norman server's models and state, kept up to date while watched."
);
