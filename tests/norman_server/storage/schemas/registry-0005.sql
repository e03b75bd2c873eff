BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE alias_changes (
	id INTEGER NOT NULL, 
	model_id VARCHAR(32) NOT NULL, 
	alias VARCHAR(100) NOT NULL, 
	"before" INTEGER, 
	"after" INTEGER, 
	changed_at DATETIME NOT NULL, 
	changed_by TEXT NOT NULL, 
	reason TEXT NOT NULL, action VARCHAR(16) DEFAULT 'set' NOT NULL, 
	CONSTRAINT pk_alias_changes PRIMARY KEY (id), 
	CONSTRAINT fk_alias_changes_model_id FOREIGN KEY(model_id) REFERENCES models (id)
);
INSERT INTO "alias_changes" VALUES(1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','active',NULL,1,'2031-05-06 07:08:09.000000','ada','ready after its upload','set');
CREATE TABLE aliases (
	model_id VARCHAR(32) NOT NULL, 
	alias VARCHAR(100) NOT NULL, 
	version_id VARCHAR(32) NOT NULL, 
	activation INTEGER NOT NULL, 
	CONSTRAINT pk_aliases PRIMARY KEY (model_id, alias), 
	CONSTRAINT fk_aliases_model_id FOREIGN KEY(model_id) REFERENCES models (id), 
	CONSTRAINT fk_aliases_version_id FOREIGN KEY(version_id) REFERENCES versions (id)
);
INSERT INTO "aliases" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','active','11111111111111111111111111111111',1);
CREATE TABLE blobs (
	digest VARCHAR(64) NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, quarantined_at DATETIME, touched_at DATETIME, 
	CONSTRAINT pk_blobs PRIMARY KEY (digest)
);
INSERT INTO "blobs" VALUES('972c4789593a5d5a98761da8b423840529f6630460718670625fc763e828e4e2',45,'2031-05-06 07:08:09.000000',NULL,NULL);
CREATE TABLE deleted_versions (
	model_id VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	version_id VARCHAR(32) NOT NULL, 
	deleted_at DATETIME NOT NULL, 
	deleted_by TEXT NOT NULL, 
	CONSTRAINT pk_deleted_versions PRIMARY KEY (model_id, number), 
	CONSTRAINT fk_deleted_versions_model_id_models FOREIGN KEY(model_id) REFERENCES models (id)
);
INSERT INTO "deleted_versions" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',3,'33333333333333333333333333333333','2031-05-06 07:08:09.000000','grace');
CREATE TABLE models (
	id VARCHAR(32) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	name_key VARCHAR(400) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	last_number INTEGER NOT NULL, 
	last_activation INTEGER NOT NULL, 
	CONSTRAINT pk_models PRIMARY KEY (id), 
	CONSTRAINT uq_models_name_key UNIQUE (name_key)
);
INSERT INTO "models" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','Digits','digits','2031-05-06 07:08:09.000000','2031-05-06 07:08:09.000000',3,2);
CREATE TABLE version_blobs (
	version_id VARCHAR(32) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_version_blobs PRIMARY KEY (version_id, digest), 
	CONSTRAINT fk_version_blobs_digest FOREIGN KEY(digest) REFERENCES blobs (digest), 
	CONSTRAINT fk_version_blobs_version_id FOREIGN KEY(version_id) REFERENCES versions (id)
);
INSERT INTO "version_blobs" VALUES('11111111111111111111111111111111','972c4789593a5d5a98761da8b423840529f6630460718670625fc763e828e4e2');
INSERT INTO "version_blobs" VALUES('22222222222222222222222222222222','972c4789593a5d5a98761da8b423840529f6630460718670625fc763e828e4e2');
CREATE TABLE versions (
	id VARCHAR(32) NOT NULL, 
	model_id VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	identity VARCHAR(64) NOT NULL, 
	bundle_digest VARCHAR(64) NOT NULL, 
	label TEXT, 
	description TEXT, 
	tags JSON NOT NULL, 
	runtime VARCHAR(32) NOT NULL, 
	entry TEXT NOT NULL, 
	interpreter TEXT, 
	signature JSON, 
	manifest JSON NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	load_s FLOAT, 
	created_at DATETIME NOT NULL, 
	created_by TEXT NOT NULL, 
	origin JSON NOT NULL, 
	trust JSON, 
	error JSON, 
	activation INTEGER, 
	activated_by TEXT, long_description TEXT, search_text TEXT DEFAULT '' NOT NULL, declaration JSON, 
	CONSTRAINT pk_versions PRIMARY KEY (id), 
	CONSTRAINT ck_versions_state CHECK (state IN ('loading', 'ready', 'failed')), 
	CONSTRAINT fk_versions_model_id FOREIGN KEY(model_id) REFERENCES models (id), 
	CONSTRAINT uq_versions_model_id_identity UNIQUE (model_id, identity), 
	CONSTRAINT uq_versions_model_id_number UNIQUE (model_id, number)
);
INSERT INTO "versions" VALUES('11111111111111111111111111111111','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,'ready','1111111111111111111111111111111111111111111111111111111111111111','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc','first','Ärger mit Ziffern','["Mist"]','python','model.py',NULL,'{"inputs": [{"name": "x", "modality": "integer"}], "outputs": []}','{"files": [{"path": "model.py", "digest": "972c4789593a5d5a98761da8b423840529f6630460718670625fc763e828e4e2", "size_bytes": 45}]}',45,0.5,'2031-05-06 07:08:09.000000','ada','{}','{"user": "ada", "trusted_at": "2031-05-06T07:08:09Z", "bundle_digest": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}',NULL,1,NULL,NULL,'first
ärger mit ziffern
mist','{"runtime":null,"entry":null,"inputs":[{"title":"Number","parameter":"x","rate_parameter":null,"encoding":null,"modality":null,"dtype":null,"shape":null,"layout":{},"default":null,"hidden":false,"description":"","labels":[]}],"outputs":[]}');
INSERT INTO "versions" VALUES('22222222222222222222222222222222','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',2,'failed','2222222222222222222222222222222222222222222222222222222222222222','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc','second','Ärger mit Ziffern','["Mist"]','python','model.py',NULL,NULL,'{"files": [{"path": "model.py", "digest": "972c4789593a5d5a98761da8b423840529f6630460718670625fc763e828e4e2", "size_bytes": 45}]}',45,NULL,'2031-05-06 07:08:09.000000','ada','{}','{"user": "ada", "trusted_at": "2031-05-06T07:08:09Z", "bundle_digest": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}','{"code": "load_failed", "message": "It raised.", "details": {}}',2,NULL,NULL,'second
ärger mit ziffern
mist',NULL);
CREATE INDEX ix_alias_changes_model_id ON alias_changes (model_id);
CREATE INDEX ix_versions_state ON versions (state);
CREATE INDEX ix_version_blobs_digest ON version_blobs (digest);
CREATE INDEX ix_aliases_version_id ON aliases (version_id);
CREATE INDEX ix_versions_model_id_search_text ON versions (model_id, search_text);
COMMIT;
